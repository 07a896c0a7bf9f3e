//! The verifiers: all rules that graphs and kernels must keep, checked at every phase boundary.

mod kernel;

pub use kernel::verify_kernel;

use crate::dim::Symbol;
use crate::graph::{Graph, Value};
use crate::ops::Op;
use crate::types::TensorType;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A node of a graph.
    #[error("{value:?} = {op}: {problem}")]
    Node {
        /// The node.
        value: Value,
        /// What it does.
        op: Op,
        /// The broken rule.
        problem: String,
    },
    /// A graph as a whole.
    #[error("{0}")]
    Graph(String),
    /// A statement of a kernel.
    #[error("kernel `{kernel}`, statement {path}: {problem}")]
    Kernel {
        /// The kernel's name.
        kernel: String,
        /// The position in each enclosing block, outermost first.
        path: String,
        /// The broken rule.
        problem: String,
    },
}

/// Checks a graph and gives all broken rules: nodes have the types that their ops infer, operands and constants exist, there
/// is no cycle, names are unique, and each symbol has one range.
pub fn verify_graph(graph: &Graph) -> Vec<VerifyError> {
    let mut errors = Vec::new();
    let order = graph.topological();
    if order.len() != graph.len() {
        errors.push(VerifyError::Graph(format!("{} nodes are part of a cycle", graph.cyclic().len())));
    }
    for value in &order {
        if let Some(problem) = node_problem(graph, *value) {
            errors.push(VerifyError::Node { value: *value, op: graph.op(*value), problem });
        }
    }
    let problems = [interface_problems(graph, &order), symbol_problems(graph)].concat();
    errors.extend(problems.into_iter().map(VerifyError::Graph));
    errors
}

fn node_problem(graph: &Graph, value: Value) -> Option<String> {
    let node = graph.node(value);
    let operands = graph.operands(value);
    let types: Vec<&TensorType> = operands.iter().map(|operand| graph.ty(*operand)).collect();
    if operands.iter().enumerate().any(|(slot, operand)| !graph.uses(*operand).contains(&(value, slot as u32))) {
        return Some("an operand is missing".to_string());
    }
    let inferred = match node.op.infer(&types, &node.attrs) {
        Ok(inferred) => inferred,
        Err(error) => return Some(error.to_string()),
    };
    if inferred != node.ty {
        return Some(format!("the type is {}, expected {inferred}", node.ty));
    }
    match (node.op, graph.as_constant(value)) {
        (Op::Constant, None) => Some("the constant does not exist".to_string()),
        (_, Some(tensor)) if tensor.ty() != node.ty => Some(format!("the constant is {}", tensor.ty())),
        _ => None,
    }
}

fn interface_problems(graph: &Graph, order: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for input in graph.inputs() {
        match graph.get(*input).filter(|node| node.op.is_input()) {
            Some(node) if !names.insert(node.attrs.text("name")) => {
                problems.push(format!("two inputs are named `{}`", node.attrs.text("name")));
            }
            Some(_) => {}
            None => problems.push(format!("input {input:?} does not exist")),
        }
    }
    for value in order.iter().filter(|value| graph.op(**value).is_input() && !graph.inputs().contains(value)) {
        problems.push(format!("{value:?} is missing in the list of inputs"));
    }
    let mut names = BTreeSet::new();
    for (position, output) in graph.outputs().iter().enumerate() {
        if !names.insert(&output.name) {
            problems.push(format!("two outputs are named `{}`", output.name));
        }
        match graph.get(output.value) {
            Some(node) => problems.extend(state_problem(graph, position, &node.ty)),
            None => problems.push(format!("output `{}` is {:?}, which does not exist", output.name, output.value)),
        }
    }
    problems
}

/// Why an output of type `ty` cannot be the next value of the state that it names.
fn state_problem(graph: &Graph, position: usize, ty: &TensorType) -> Option<String> {
    let state = graph.state_of_output(position)?;
    let known = graph.get(state).map(|node| &node.ty).filter(|known| *known != ty)?;
    Some(format!("state `{}` is {known}, but becomes {ty}", graph.input_name(state)))
}

fn symbol_problems(graph: &Graph) -> Vec<String> {
    let mut known: BTreeMap<String, Symbol> = BTreeMap::new();
    let mut clashing = BTreeSet::new();
    graph.for_each_dim(&mut |dim| {
        dim.for_each_symbol(&mut |symbol| {
            let first = known.entry(symbol.name().to_string()).or_insert_with(|| symbol.clone());
            if first != symbol {
                clashing.insert(symbol.name().to_string());
            }
        });
    });
    let nameless = known.keys().filter(|name| !crate::text::is_symbol_name(name));
    let nameless = nameless.map(|name| format!("`{name}` cannot be the name of a symbol"));
    nameless.chain(clashing.iter().map(|name| format!("symbol `{name}` has two ranges"))).collect()
}
