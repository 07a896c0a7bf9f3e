//! What must hold so that parts of tensors lie within them, where types do not tell.

use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Constraint, Graph, Value};
use lostwax_ir::ops::Op;

/// The constraints under which slices and updates stay within their tensors; those that always hold are left out.
pub(super) fn limits(graph: &Graph) -> Vec<Constraint> {
    let mut limits: Vec<Constraint> =
        graph.topological().into_iter().flat_map(|value| parts(graph, value)).filter_map(limit).collect();
    limits.sort();
    limits.dedup();
    limits
}

/// For each axis of a slice or an update the end of the part, and the size of the whole.
fn parts(graph: &Graph, value: Value) -> Vec<(Dim, Dim)> {
    let (node, operands) = (graph.node(value), graph.operands(value));
    let dims = |position: usize| operands.get(position).map_or(&[][..], |operand| graph.ty(*operand).dims.as_slice());
    let ends: Vec<Dim> = match node.op {
        Op::UpdateSlice => {
            node.attrs.dims("starts").iter().zip(dims(1)).map(|(start, size)| start.clone() + size.clone()).collect()
        }
        Op::Slice => {
            let axes = node.attrs.dims("starts").iter().zip(&node.ty.dims).zip(node.attrs.ints("steps"));
            axes.map(|((start, size), step)| slice_end(start, size, *step)).collect()
        }
        _ => Vec::new(),
    };
    ends.into_iter().zip(dims(0).iter().cloned()).collect()
}

/// One more than the last element of a slice.
fn slice_end(start: &Dim, size: &Dim, step: i64) -> Dim {
    let last = if step > 0 { start.clone() + (size.clone() - 1.into()) * step.into() } else { start.clone() };
    last + 1.into()
}

/// The larger of end and size is the size: constraints are equalities.
fn limit((end, size): (Dim, Dim)) -> Option<Constraint> {
    if end.prove_le(&size) == Some(true) {
        return None;
    }
    let reason = format!("a part that ends at {end} must lie within {size} elements");
    Some(Constraint { left: end.maximum(&size), right: size, reason })
}
