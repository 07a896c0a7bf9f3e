//! What programs do that some machines have instructions for.

use crate::fuse::{definition, is_given};
use lostwax_ir::compute::{Body, Compute, Step};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Class;
use lostwax_ir::types::DType;
use lostwax_target_api::Operation;
use std::collections::BTreeSet;

/// The operations of a graph, as far as they are of a kind that [`Operation`] knows.
pub fn operations(graph: &Graph) -> BTreeSet<Operation> {
    let has_kernel = |value: &Value| !is_given(graph, *value) && graph.op(*value).def().class != Class::Concatenation;
    let values = graph.topological().into_iter().filter(has_kernel);
    values.filter_map(|value| definition(graph, value)).flat_map(|compute| of_compute(&compute)).collect()
}

fn of_compute(compute: &Compute) -> Vec<Operation> {
    let reduced = compute.reduction.as_ref().map_or(compute.output.dtype, |reduction| reduction.dtype);
    let bodies = compute.reduction.iter().flat_map(|reduction| reduction.bodies()).chain([&compute.result]);
    bodies.flat_map(|body| of_body(body, compute, reduced)).collect()
}

fn of_body(body: &Body, compute: &Compute, reduced: DType) -> Vec<Operation> {
    let input = |position: u32| compute.inputs.get(position as usize).map_or(reduced, |ty| ty.dtype);
    let dtypes = body.dtypes(input, reduced);
    let operation = |step: &Step| {
        let of = |operand: usize| dtypes.get(step.operands().get(operand)?.0 as usize).copied();
        match step {
            Step::Dot4(..) => Some(Operation::DOT4),
            Step::Cast(to, _) => Some(Operation::Conversion { from: of(0)?, to: *to }),
            Step::Unary(..) | Step::Binary(..) => Some(Operation::Arithmetic(of(0)?)),
            _ => None,
        }
    };
    body.steps.iter().filter_map(operation).collect()
}
