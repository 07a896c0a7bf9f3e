//! What is known of every class of the e-graph: type, constness, the value of uniform constants, source nodes.

use super::language::{ENode, Head, has_attrs};
use super::sizes::Sizes;
use egg::{Analysis, DidMerge, EGraph, Id};
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::ops::{Class, Op};
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::TensorType;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The e-graph of tensors.
pub type TensorGraph = EGraph<ENode, Facts>;

/// The largest constant that is searched for being uniform.
const UNIFORM_LIMIT: usize = 1 << 12;

/// An input or constant of the source graph.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its type.
    pub ty: Arc<TensorType>,
    /// Whether it is a constant.
    pub constant: bool,
    /// The value that all elements have, if it is a constant where they do.
    pub splat: Option<f64>,
}

impl Leaf {
    /// An input of this type.
    pub fn input(ty: &TensorType) -> Self {
        Self { ty: Arc::new(ty.clone()), constant: false, splat: None }
    }

    /// A constant.
    pub fn constant(tensor: &Tensor) -> Self {
        Self { ty: Arc::new(tensor.ty()), constant: true, splat: splat(tensor) }
    }
}

fn splat(tensor: &Tensor) -> Option<f64> {
    if tensor.len() > UNIFORM_LIMIT {
        return None;
    }
    let values = tensor.to_f64();
    let first = *values.first()?;
    values.iter().all(|value| value.to_bits() == first.to_bits()).then_some(first)
}

/// What is known of a tensor class.
#[derive(Clone, Debug)]
pub struct Known {
    /// The type that all members have.
    pub ty: Arc<TensorType>,
    /// Whether the value depends on constants only, so that it costs nothing at run time.
    pub constant: bool,
    /// The value that all elements have, where that is known.
    pub splat: Option<f64>,
    /// The source nodes that the class stands for, by number.
    pub origin: Arc<BTreeSet<u32>>,
}

/// What is known of a class.
#[derive(Clone, Debug)]
pub enum Data {
    /// The class is a set of attributes.
    Attrs(Arc<Attrs>),
    /// The class is a tensor.
    Tensor(Known),
    /// The class holds a node that breaks its op's contract.
    Invalid(String),
}

impl Data {
    /// What is known of the tensor, if the class is one.
    pub fn tensor(&self) -> Option<&Known> {
        if let Data::Tensor(known) = self { Some(known) } else { None }
    }
}

/// Two sides of a rule that do not have the same type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The rule.
    pub rule: &'static str,
    /// One side.
    pub left: String,
    /// The other side.
    pub right: String,
}

/// The state of the analysis.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The inputs and constants that [`Head::Leaf`] refers to.
    pub leaves: Vec<Leaf>,
    /// Sizes that must be equal when the graph runs.
    pub sizes: Sizes,
    /// The rule that is being applied.
    pub rule: &'static str,
    /// The first contradiction, if one was found.
    pub conflict: Option<Conflict>,
}

fn make_leaf(leaf: &Leaf) -> Data {
    let Leaf { ty, constant, splat } = leaf.clone();
    Data::Tensor(Known { ty, constant, splat, origin: Arc::default() })
}

/// Whether no attribute depends on a symbol.
fn is_static(attrs: &Attrs) -> bool {
    attrs.iter().all(|(_, attr)| match attr {
        Attr::Dims(dims) => dims.iter().all(|dim| dim.as_constant().is_some()),
        Attr::Int(_) | Attr::Float(_) | Attr::Bool(_) | Attr::Ints(_) | Attr::DType(_) | Attr::Text(_) => true,
    })
}

/// The attributes and the facts of the operands of a node.
pub fn node_parts<'a>(egraph: &'a TensorGraph, op: Op, children: &[Id]) -> Option<(Arc<Attrs>, Vec<&'a Known>)> {
    let (attrs, operands) = match (has_attrs(op), children.split_first()) {
        (true, Some((first, rest))) => match &egraph[*first].data {
            Data::Attrs(attrs) => (attrs.clone(), rest),
            Data::Tensor(_) | Data::Invalid(_) => return None,
        },
        (true, None) => return None,
        (false, _) => (Arc::default(), children),
    };
    let known = operands.iter().map(|id| egraph[*id].data.tensor()).collect::<Option<_>>()?;
    Some((attrs, known))
}

fn make_op(egraph: &TensorGraph, op: Op, children: &[Id]) -> Data {
    let Some((attrs, operands)) = node_parts(egraph, op, children) else {
        return Data::Invalid(format!("operands of `{op}`"));
    };
    let types: Vec<&TensorType> = operands.iter().map(|known| known.ty.as_ref()).collect();
    match op.infer(&types, &attrs) {
        Ok(ty) => {
            let computed = op.def().class != Class::Decode && operands.iter().all(|known| known.constant);
            let constant = computed && is_static(&attrs) && ty.static_shape().is_some();
            let splat = if constant { op_splat(op, &attrs, &operands, &ty) } else { None };
            Data::Tensor(Known { ty: Arc::new(ty), constant, splat, origin: Arc::default() })
        }
        Err(error) => Data::Invalid(error.to_string()),
    }
}

fn op_splat(op: Op, attrs: &Attrs, operands: &[&Known], ty: &TensorType) -> Option<f64> {
    match (op, op.def().class) {
        (Op::Full, _) => Some(attrs.float("value")),
        (Op::Transpose | Op::Reshape | Op::Broadcast | Op::Slice, _) => operands.first()?.splat,
        (Op::Iota, _) => None,
        (_, Class::Elementwise) => elementwise_splat(op, attrs, operands, ty),
        _ => None,
    }
}

/// Evaluates an elementwise op on one element of each operand.
fn elementwise_splat(op: Op, attrs: &Attrs, operands: &[&Known], ty: &TensorType) -> Option<f64> {
    let ones = vec![1usize; ty.rank()];
    let element = |known: &&Known| Tensor::from_f64(known.ty.dtype, &ones, &[known.splat?]);
    let tensors: Vec<Tensor> = operands.iter().map(element).collect::<Option<_>>()?;
    let result_ty = TensorType::new(ty.dtype, vec![1i64; ty.rank()]);
    let result = (op.def().eval)(&tensors.iter().collect::<Vec<_>>(), attrs, &result_ty)?;
    result.to_f64().first().copied()
}

impl Facts {
    fn record(&mut self, left: &dyn std::fmt::Display, right: &dyn std::fmt::Display) {
        let rule = self.rule;
        self.conflict.get_or_insert_with(|| Conflict { rule, left: left.to_string(), right: right.to_string() });
    }

    fn merge_known(&mut self, a: &mut Known, b: &Known) -> DidMerge {
        if a.ty != b.ty {
            self.record(&a.ty, &b.ty);
        }
        let before = (a.constant, a.splat.is_some());
        a.constant |= b.constant;
        a.splat = a.splat.or(b.splat);
        if !b.origin.is_subset(&a.origin) {
            a.origin = Arc::new(a.origin.union(&b.origin).copied().collect());
        }
        let after = (a.constant, a.splat.is_some());
        DidMerge(after != before, after != (b.constant, b.splat.is_some()))
    }
}

impl Analysis<ENode> for Facts {
    type Data = Data;

    fn make(egraph: &mut TensorGraph, node: &ENode, _: Id) -> Data {
        match &node.head {
            Head::Attrs(attrs) => Data::Attrs(attrs.clone()),
            Head::Leaf(index) => match egraph.analysis.leaves.get(*index as usize) {
                Some(leaf) => make_leaf(leaf),
                None => Data::Invalid(format!("leaf {index}")),
            },
            Head::Op(op) => make_op(egraph, *op, &node.children),
        }
    }

    fn merge(&mut self, a: &mut Data, b: Data) -> DidMerge {
        match (a, b) {
            (Data::Tensor(a), Data::Tensor(b)) => self.merge_known(a, &b),
            (Data::Attrs(a), Data::Attrs(b)) if *a == b => DidMerge(false, false),
            (Data::Invalid(problem), _) => {
                let problem = problem.clone();
                self.record(&problem, &"a tensor");
                DidMerge(false, false)
            }
            (_, Data::Invalid(problem)) => {
                self.record(&"a tensor", &problem);
                DidMerge(false, false)
            }
            (Data::Tensor(_) | Data::Attrs(_), _) => {
                self.record(&"attributes", &"other attributes or a tensor");
                DidMerge(false, false)
            }
        }
    }
}
