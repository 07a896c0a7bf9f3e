//! Tests of rewrite rules and passes against the reference interpreter, for rules of any origin.
//!
//! [`check_rules`] instantiates every rule of a group at random, applies it and compares both sides. [`random_inputs`],
//! [`evaluate`] and [`agree`] do the same for graphs before and after a pass.

mod generate;
mod rules;

pub use rules::check_rules;

use crate::tier::Tier;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use std::collections::HashMap;

/// Random tensors for all inputs; some elements are zeros, infinities or not numbers if `special`. `None` if a shape is not
/// known, or a tensor does not fit memory.
pub fn random_inputs(graph: &Graph, random: &mut Random, special: bool) -> Option<Vec<Tensor>> {
    let make = |value: &Value| {
        let ty = graph.ty(*value);
        let tensor = random.tensor(ty)?;
        Some(if special && ty.dtype.is_float() { with_special_values(tensor, random) } else { tensor })
    };
    graph.inputs().iter().map(make).collect()
}

fn with_special_values(tensor: Tensor, random: &mut Random) -> Tensor {
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, 1e-40];
    let mut values = tensor.to_f64();
    for value in &mut values {
        if random.one_in(5) {
            *value = random.pick(&special, 0.0);
        }
    }
    Tensor::from_f64(tensor.dtype(), tensor.shape(), &values).unwrap_or(tensor)
}

/// The outputs of a graph without symbols, by the reference implementation of each op; `None` if an input is missing or a
/// tensor does not fit memory.
pub fn evaluate(graph: &Graph, inputs: &[Tensor]) -> Option<Vec<Tensor>> {
    let mut values: HashMap<Value, Tensor> = graph.inputs().iter().copied().zip(inputs.iter().cloned()).collect();
    for value in graph.topological() {
        if graph.op(value).is_input() {
            continue;
        }
        let result = match graph.as_constant(value) {
            Some(tensor) => tensor.as_ref().clone(),
            None => {
                let operands: Vec<&Tensor> =
                    graph.operands(value).iter().map(|operand| values.get(operand)).collect::<Option<_>>()?;
                let node = graph.node(value);
                (node.op.def().eval)(&operands, &node.attrs, &node.ty)?
            }
        };
        values.insert(value, result);
    }
    graph.outputs().iter().map(|output| values.get(&output.value).cloned()).collect()
}

/// Whether two tensors agree as far as rules of a tier promise: bit for bit but for the sign of zeros, or within a tolerance
/// relative to the largest element.
pub fn agree(left: &Tensor, right: &Tensor, tier: Tier) -> bool {
    if left.ty() != right.ty() {
        return false;
    }
    if !left.dtype().is_float() {
        return left.bytes() == right.bytes();
    }
    let tolerance = match (tier, left.dtype().size()) {
        (Tier::Exact, _) => 0.0,
        (_, 2) => 4e-2,
        (_, _) => 1e-4,
    };
    let (left, right) = (left.to_f64(), right.to_f64());
    let scale = left.iter().filter(|value| value.is_finite()).fold(1.0f64, |scale, value| scale.max(value.abs()));
    let close = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * scale;
    left.iter().zip(&right).all(close)
}

/// A graph as text, for comparisons.
pub fn print(graph: &Graph) -> String {
    let mut numbers: HashMap<Value, usize> = HashMap::new();
    let mut text = String::new();
    for value in graph.topological() {
        let node = graph.node(value);
        let operands: Vec<usize> = graph.operands(value).iter().map(|operand| numbers[operand]).collect();
        let number = numbers.len();
        numbers.insert(value, number);
        text += &format!("%{number} = {} {:?} {operands:?} : {} {:?}\n", node.op, node.attrs, node.ty, node.origin);
    }
    for output in graph.outputs() {
        text += &format!("{} = %{}\n", output.name, numbers[&output.value]);
    }
    text
}
