//! Random graphs.

use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::{Class, Op, Sample};
use lostwax_ir::random::Random;
use lostwax_ir::types::TensorType;

/// A graph of about `size` operations with static shapes, for tests: ops of all kinds on inputs, constants and each other's
/// results. All values that no op uses are outputs.
///
/// # Errors
/// None, unless an op breaks its own contract.
pub fn random_graph(random: &mut Random, size: usize) -> Result<Graph, TypeError> {
    let mut graph = Graph::new("random");
    let mut values: Vec<Value> = Vec::new();
    for _ in 0..size {
        let op = random.pick(Op::ALL, Op::Exp);
        if op.def().class == Class::Leaf {
            continue;
        }
        let sample = (op.def().sample)(random);
        let operands = random_operands(random, &mut graph, &values, op, &sample)?;
        values.push(graph.add(op, sample.attrs, &operands)?);
    }
    let unused = values.iter().filter(|value| graph.uses(**value).is_empty());
    for (number, value) in unused.copied().collect::<Vec<_>>().into_iter().enumerate() {
        graph.output(&format!("y{number}"), value);
    }
    Ok(graph)
}

/// Values of the graph that the op accepts with the sample's attributes if some are found, else new inputs and constants.
fn random_operands(
    random: &mut Random,
    graph: &mut Graph,
    values: &[Value],
    op: Op,
    sample: &Sample,
) -> Result<Vec<Value>, TypeError> {
    for first in values.iter().rev() {
        let fits = |value: &&Value| graph.ty(**value).dtype == graph.ty(*first).dtype;
        let others: Vec<Value> = values.iter().filter(fits).copied().collect();
        let mut draw = |position: usize| if position == 0 { *first } else { random.pick(&others, *first) };
        let operands: Vec<Value> = (0..sample.operands.len()).map(&mut draw).collect();
        let types: Vec<&TensorType> = operands.iter().map(|value| graph.ty(*value)).collect();
        if !operands.is_empty() && op.infer(&types, &sample.attrs).is_ok() {
            return Ok(operands);
        }
    }
    sample.operands.iter().map(|ty| random_leaf(random, graph, ty)).collect()
}

fn random_leaf(random: &mut Random, graph: &mut Graph, ty: &TensorType) -> Result<Value, TypeError> {
    let tensor = if random.one_in(2) { random.tensor(ty) } else { None };
    match tensor {
        Some(tensor) => graph.constant(tensor),
        None => graph.input(&format!("x{}", graph.inputs().len()), ty),
    }
}
