//! The tensor graph: typed nodes in SSA form, one result each.

use crate::attrs::{Attr, Attrs};
use crate::dim::{Dim, Symbol};
use crate::ops::Op;
pub use crate::ops::TypeError;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};
use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{Dfs, EdgeRef, IntoEdgeReferences, Reversed};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::iter::from_fn;
use std::sync::Arc;

/// A node of a [`Graph`], and the tensor it makes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(NodeIndex<u32>);

impl Value {
    /// A number that is stable while the node exists.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0.index())
    }
}

/// The operation that makes a tensor; its operands are edges of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// How.
    pub attrs: Attrs,
    /// The result's type.
    pub ty: TensorType,
    /// Names of the nodes of the source model that this one stands for; sorted, for reports.
    pub origin: BTreeSet<String>,
}

/// A named result of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The name.
    pub name: String,
    /// The tensor.
    pub value: Value,
}

/// Two dims that must be equal when the graph runs, although their equality could not be proven.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Constraint {
    /// One side.
    pub left: Dim,
    /// The other side.
    pub right: Dim,
    /// What needs them to be equal.
    pub reason: String,
}

/// A typed tensor graph in SSA form.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The name of the model or function.
    pub name: String,
    nodes: StableDiGraph<Node, u32, u32>,
    inputs: Vec<Value>,
    outputs: Vec<Output>,
    constants: Vec<Arc<Tensor>>,
    constraints: BTreeSet<Constraint>,
    origin: BTreeSet<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets the source names that nodes added from now on carry.
    pub fn set_origin(&mut self, names: impl IntoIterator<Item = String>) {
        self.origin = names.into_iter().collect();
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`TypeError`] when the operands or attributes do not fit the op.
    pub fn add(&mut self, op: Op, attrs: Attrs, operands: &[Value]) -> Result<Value, TypeError> {
        let ty = {
            let types: Vec<&TensorType> = operands.iter().map(|value| self.ty(*value)).collect();
            op.infer(&types, &attrs)?
        };
        let node = Node { op, attrs, ty, origin: self.origin.clone() };
        let index = self.nodes.add_node(node);
        for (slot, operand) in operands.iter().enumerate() {
            self.nodes.add_edge(operand.0, index, slot as u32);
        }
        if op.is_input() {
            self.inputs.push(Value(index));
        }
        Ok(Value(index))
    }

    /// Adds an input tensor.
    pub fn input(&mut self, name: &str, ty: &TensorType) -> Result<Value, TypeError> {
        let attrs = Attrs::new().with("name", name).with("dtype", ty.dtype).with("dims", ty.dims.clone());
        self.add(Op::Input, attrs, &[])
    }

    /// Adds a state: a tensor that persists across runs; its next value is the output of the same name.
    pub fn state(&mut self, name: &str, ty: &TensorType) -> Result<Value, TypeError> {
        let attrs = Attrs::new().with("name", name).with("dtype", ty.dtype).with("dims", ty.dims.clone());
        self.add(Op::State, attrs, &[])
    }

    /// Adds a constant. Equal constants are stored once.
    pub fn constant(&mut self, tensor: impl Into<Arc<Tensor>>) -> Result<Value, TypeError> {
        let tensor = tensor.into();
        let id = match self.constants.iter().position(|known| Arc::ptr_eq(known, &tensor)) {
            Some(id) => id,
            None => {
                self.constants.push(tensor.clone());
                self.constants.len() - 1
            }
        };
        let ty = tensor.ty();
        let attrs = Attrs::new().with("id", id as i64).with("dtype", ty.dtype).with("dims", ty.dims);
        self.add(Op::Constant, attrs, &[])
    }

    /// Adds a rank-0 constant of a floating-point or integer type.
    pub fn scalar(&mut self, dtype: DType, value: f64) -> Result<Value, TypeError> {
        let tensor = Tensor::from_f64(dtype, &[], &[value]);
        let tensor = tensor.ok_or(TypeError::Unsupported { op: "constant", what: format!("scalars of type {dtype}") })?;
        self.constant(tensor)
    }

    /// Names a result.
    pub fn output(&mut self, name: &str, value: Value) {
        self.outputs.push(Output { name: name.to_string(), value });
    }

    /// Makes the output at `position` name another tensor of the same type.
    pub fn set_output(&mut self, position: usize, value: Value) {
        if let Some(output) = self.outputs.get_mut(position) {
            output.value = value;
        }
    }

    /// Requires two dims to be equal at run time. Dims that are equal by construction need no constraint.
    ///
    /// # Errors
    /// [`TypeError::Invalid`] when they can never be equal.
    pub fn require_equal(&mut self, left: &Dim, right: &Dim, reason: &str) -> Result<(), TypeError> {
        match left.prove_eq(right) {
            Some(true) => Ok(()),
            Some(false) => {
                let problem = format!("{left} and {right} can never be equal: {reason}");
                Err(TypeError::Invalid { op: "constraint", problem })
            }
            None => {
                let reason = reason.to_string();
                self.constraints.insert(Constraint { left: left.clone(), right: right.clone(), reason });
                Ok(())
            }
        }
    }

    /// The equalities that must hold at run time.
    pub fn constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter()
    }

    /// The node that makes `value`, or `None` if it was removed.
    pub fn get(&self, value: Value) -> Option<&Node> {
        self.nodes.node_weight(value.0)
    }

    /// The node that makes `value`.
    ///
    /// # Panics
    /// If the value belongs to another graph or was removed.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.0]
    }

    /// The type of `value`; see [`Graph::node`].
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.node(value).ty
    }

    /// The op that makes `value`; see [`Graph::node`].
    pub fn op(&self, value: Value) -> Op {
        self.node(value).op
    }

    /// Adds source names to a node.
    pub fn extend_origin(&mut self, value: Value, names: &BTreeSet<String>) {
        if let Some(node) = self.nodes.node_weight_mut(value.0) {
            node.origin.extend(names.iter().cloned());
        }
    }

    /// The operands of the node, in order.
    pub fn operands(&self, value: Value) -> Vec<Value> {
        let mut edges: Vec<(u32, Value)> =
            self.nodes.edges_directed(value.0, Direction::Incoming).map(|edge| (*edge.weight(), Value(edge.source()))).collect();
        edges.sort();
        edges.into_iter().map(|(_, operand)| operand).collect()
    }

    /// The nodes that use `value`, with the operand position; sorted.
    pub fn uses(&self, value: Value) -> Vec<(Value, u32)> {
        let edges = self.nodes.edges_directed(value.0, Direction::Outgoing);
        let mut uses: Vec<(Value, u32)> = edges.map(|edge| (Value(edge.target()), *edge.weight())).collect();
        uses.sort();
        uses
    }

    /// The constant tensor that `value` is, if it is one.
    pub fn as_constant(&self, value: Value) -> Option<&Arc<Tensor>> {
        let node = self.get(value)?;
        if node.op != Op::Constant {
            return None;
        }
        self.constants.get(usize::try_from(node.attrs.int("id")).ok()?)
    }

    /// The input tensors and states, in order.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// The name of an input or a state; empty for others.
    pub fn input_name(&self, value: Value) -> &str {
        if self.op(value).is_input() { self.node(value).attrs.text("name") } else { "" }
    }

    /// The state that the output at `position` is the next value of, if it is one.
    pub fn state_of_output(&self, position: usize) -> Option<Value> {
        let name = &self.outputs.get(position)?.name;
        let is_it = |value: &Value| self.get(*value).is_some_and(|node| node.op == Op::State && node.attrs.text("name") == name);
        self.inputs.iter().copied().find(is_it)
    }

    /// The results, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// All nodes in order of creation.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.nodes.node_indices().map(Value)
    }

    /// The nodes that `wanted` depend on, with those of `wanted` themselves, each once; those that were removed are left out.
    pub fn needed(&self, wanted: impl IntoIterator<Item = Value>) -> impl Iterator<Item = Value> {
        let mut search = Dfs::empty(&self.nodes);
        search.stack.extend(wanted.into_iter().map(|value| value.0).filter(|index| self.nodes.contains_node(*index)));
        from_fn(move || search.next(Reversed(&self.nodes)).map(Value))
    }

    /// All nodes; operands come before their users, otherwise in order of creation. Nodes of cycles, and those that depend on
    /// them, are left out.
    pub fn topological(&self) -> Vec<Value> {
        let is_in_order = self.nodes.edge_references().all(|edge| edge.source() < edge.target());
        if is_in_order { self.values().collect() } else { self.sorted() }
    }

    /// The topological order in which the oldest node comes first of all that could be next. petgraph's own orders depend on
    /// how the graph was changed, so equal graphs would be written differently.
    fn sorted(&self) -> Vec<Value> {
        let count = |index| self.nodes.neighbors_directed(index, Direction::Incoming).count();
        let mut missing: BTreeMap<NodeIndex<u32>, usize> = self.nodes.node_indices().map(|index| (index, count(index))).collect();
        let is_ready = |(index, count): (&NodeIndex<u32>, &usize)| (*count == 0).then_some(Reverse(*index));
        let mut ready: BinaryHeap<_> = missing.iter().filter_map(is_ready).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(Reverse(index)) = ready.pop() {
            order.push(Value(index));
            for user in self.nodes.neighbors(index) {
                if let Some(count) = missing.get_mut(&user) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(Reverse(user));
                    }
                }
            }
        }
        order
    }

    /// The nodes that depend on themselves.
    pub fn cyclic(&self) -> Vec<Value> {
        let has_cycle = |component: &Vec<NodeIndex<u32>>| match component[..] {
            [index] => self.nodes.contains_edge(index, index),
            _ => true,
        };
        tarjan_scc(&self.nodes).into_iter().filter(has_cycle).flatten().map(Value).collect()
    }

    /// Replaces all uses of `old`, as operand and as output, by `new`. Types must agree.
    pub fn replace_uses(&mut self, old: Value, new: Value) {
        let uses: Vec<_> = self.nodes.edges(old.0).map(|edge| (edge.id(), edge.target(), *edge.weight())).collect();
        for (edge, user, slot) in uses {
            self.nodes.remove_edge(edge);
            self.nodes.add_edge(new.0, user, slot);
        }
        for output in &mut self.outputs {
            if output.value == old {
                output.value = new;
            }
        }
    }

    /// Removes nodes that no output needs; inputs stay.
    pub fn remove_dead(&mut self) {
        let outputs = self.outputs.iter().map(|output| output.value);
        let live: BTreeSet<Value> = self.needed(outputs.chain(self.inputs.iter().copied())).collect();
        self.nodes.retain_nodes(|_, index| live.contains(&Value(index)));
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All dimension symbols that types, attributes and constraints mention, by name.
    pub fn symbols(&self) -> BTreeMap<String, Symbol> {
        let mut symbols = BTreeMap::new();
        self.for_each_dim(&mut |dim| {
            dim.for_each_symbol(&mut |symbol| {
                symbols.insert(symbol.name().to_string(), symbol.clone());
            });
        });
        symbols
    }

    /// Calls `visit` for each dim of types, attributes and constraints.
    pub fn for_each_dim(&self, visit: &mut dyn FnMut(&Dim)) {
        for node in self.nodes.node_weights() {
            node.ty.dims.iter().for_each(&mut *visit);
            for (_, attr) in node.attrs.iter() {
                if let Attr::Dims(dims) = attr {
                    dims.iter().for_each(&mut *visit);
                }
            }
        }
        for constraint in &self.constraints {
            visit(&constraint.left);
            visit(&constraint.right);
        }
    }
}
