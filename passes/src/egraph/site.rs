//! A match of a rule: what guards look at and what right sides are built with.

use super::analysis::{Data, Known, TensorGraph, node_parts};
use super::language::{ENode, Head};
use egg::Id;
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::TensorType;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A match of a rule.
pub struct RuleMatch<'a> {
    /// The e-graph.
    pub egraph: &'a mut TensorGraph,
    /// The class that the left side matched.
    pub root: Id,
    /// The node of that class that matched.
    pub node: ENode,
    /// The classes of the rule's variables, by number.
    pub variables: Vec<Option<Id>>,
    /// The names of the variables.
    pub names: &'a [String],
    /// The source nodes that new nodes stand for.
    pub origin: Arc<BTreeSet<u32>>,
}

impl RuleMatch<'_> {
    /// The class of a variable.
    pub fn var(&self, name: &str) -> Option<Id> {
        let number = self.names.iter().position(|known| known == name)?;
        self.variables.get(number).copied().flatten()
    }

    /// The attributes that a variable is bound to.
    pub fn attrs(&self, name: &str) -> Option<Arc<Attrs>> {
        self.attrs_of(self.var(name)?)
    }

    /// The attributes that a class is.
    pub fn attrs_of(&self, id: Id) -> Option<Arc<Attrs>> {
        if let Data::Attrs(attrs) = &self.egraph[id].data { Some(attrs.clone()) } else { None }
    }

    /// The attributes of a node; none if its op declares none.
    pub fn node_attrs(&self, node: &ENode) -> Option<Arc<Attrs>> {
        let op = node.op()?;
        node_parts(self.egraph, op, &node.children).map(|(attrs, _)| attrs)
    }

    /// What is known of a tensor.
    pub fn known(&self, id: Id) -> Option<&Known> {
        self.egraph[id].data.tensor()
    }

    /// The type of a tensor.
    pub fn ty(&self, id: Id) -> Option<Arc<TensorType>> {
        self.known(id).map(|known| known.ty.clone())
    }

    /// Whether a tensor depends on constants only.
    pub fn is_constant(&self, id: Id) -> bool {
        self.known(id).is_some_and(|known| known.constant)
    }

    /// The value that all elements have, where that is known.
    pub fn splat(&self, id: Id) -> Option<f64> {
        self.known(id)?.splat
    }

    /// Whether two sizes are equal in every run.
    pub fn are_equal(&self, left: &Dim, right: &Dim) -> bool {
        let sizes = &self.egraph.analysis.sizes;
        left == right || sizes.normal(left) == sizes.normal(right)
    }

    /// The nodes of a class with this op.
    pub fn members(&self, id: Id, op: Op) -> impl Iterator<Item = &ENode> {
        self.egraph[id].nodes.iter().filter(move |node| node.op() == Some(op))
    }

    /// A node; `None` if operands and attributes break the op's contract.
    pub fn add(&mut self, op: Op, attrs: Option<Attrs>, operands: &[Id]) -> Option<Id> {
        let mut children = Vec::with_capacity(operands.len() + 1);
        children.extend(attrs.map(|attrs| self.egraph.add(ENode::leaf(Head::Attrs(Arc::new(attrs))))));
        children.extend_from_slice(operands);
        if op.def().commutative && operands.len() == 2 && self.is_constant(operands[0]) && !self.is_constant(operands[1]) {
            children.reverse();
        }
        self.add_node(op, children)
    }

    fn add_node(&mut self, op: Op, children: Vec<Id>) -> Option<Id> {
        let node = ENode { head: Head::Op(op), children };
        if let Some(id) = self.egraph.lookup(node.clone()) {
            return Some(id);
        }
        let (attrs, known) = node_parts(self.egraph, op, &node.children)?;
        let types: Vec<&TensorType> = known.iter().map(|known| known.ty.as_ref()).collect();
        op.infer(&types, &attrs).ok()?;
        let id = self.egraph.add(node);
        if let Data::Tensor(known) = &mut self.egraph[id].data {
            known.origin = self.origin.clone();
        }
        Some(id)
    }

    /// The same op with the same attributes on other operands.
    pub fn add_like(&mut self, node: &ENode, operands: &[Id]) -> Option<Id> {
        let op = node.op()?;
        let attrs = &node.children[..node.children.len() - node.operands().len()];
        self.add_node(op, [attrs, operands].concat())
    }

    /// `x` with its axes permuted; consecutive and trivial transposes become one or none.
    pub fn transpose(&mut self, perm: &[i64], x: Id) -> Option<Id> {
        if let Some((inner, y)) = self.as_transpose(x) {
            let composed: Vec<i64> = perm.iter().map(|axis| inner.get(*axis as usize).copied()).collect::<Option<_>>()?;
            return if is_identity(&composed) { Some(y) } else { self.transpose_node(&composed, y) };
        }
        self.transpose_node(perm, x)
    }

    fn transpose_node(&mut self, perm: &[i64], x: Id) -> Option<Id> {
        let ty = self.ty(x)?;
        if is_identity(perm) || ty.dims.iter().all(|dim| dim.is(1)) {
            return Some(x);
        }
        self.add(Op::Transpose, Some(Attrs::new().with("perm", perm)), &[x])
    }

    /// The permutation and operand of a transpose in this class.
    pub fn as_transpose(&self, id: Id) -> Option<(Vec<i64>, Id)> {
        let node = self.members(id, Op::Transpose).next()?;
        Some((self.node_attrs(node)?.ints("perm").to_vec(), *node.operands().first()?))
    }

    /// All transposes in this class.
    pub fn transposes(&self, id: Id) -> Vec<(Vec<i64>, Id)> {
        let parts = |node: &ENode| Some((self.node_attrs(node)?.ints("perm").to_vec(), *node.operands().first()?));
        self.members(id, Op::Transpose).filter_map(parts).collect()
    }

    /// `x` under other dims.
    pub fn reshape(&mut self, dims: Vec<Dim>, x: Id) -> Option<Id> {
        if self.ty(x)?.dims == dims {
            return Some(x);
        }
        self.add(Op::Reshape, Some(Attrs::new().with("dims", dims)), &[x])
    }

    /// A constant with one value and only dims of size 1, of the element type and rank of `like`.
    pub fn scalar(&mut self, value: f64, like: Id) -> Option<Id> {
        let ty = self.ty(like)?;
        let dims: Vec<Dim> = vec![1.into(); ty.rank()];
        self.add(Op::Full, Some(Attrs::new().with("value", Attr::float(value)).with("dtype", ty.dtype).with("dims", dims)), &[])
    }
}

/// Whether a permutation changes nothing.
pub fn is_identity(perm: &[i64]) -> bool {
    perm.iter().enumerate().all(|(position, axis)| position as i64 == *axis)
}

/// The permutation that undoes `perm`.
pub fn inverse(perm: &[i64]) -> Vec<i64> {
    let mut result = vec![0; perm.len()];
    for (position, axis) in perm.iter().enumerate() {
        if let Some(slot) = result.get_mut(*axis as usize) {
            *slot = position as i64;
        }
    }
    result
}

/// The permutation that moves channels from second to last.
pub fn to_last(rank: usize) -> Vec<i64> {
    let spatial = (2..rank).map(|axis| axis as i64);
    std::iter::once(0).chain(spatial).chain([1]).collect()
}

/// The permutation that moves channels from last to second.
pub fn to_first(rank: usize) -> Vec<i64> {
    inverse(&to_last(rank))
}
