//! What must hold so that parts of tensors lie within them, where types do not tell.

use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Constraint, Graph, Value};
use lostwax_ir::ops::Op;

/// The constraints under which slices and updates stay within their tensors; those that always hold are left out.
pub(super) fn limits(graph: &Graph) -> Vec<Constraint> {
    let parts = graph.topological().into_iter().flat_map(|value| parts(graph, value));
    let mut limits: Vec<Constraint> = parts.flat_map(|part| [part.begins(), part.ends()]).flatten().collect();
    limits.sort();
    limits.dedup();
    limits
}

/// What is used of one axis.
struct Part {
    /// The first element.
    first: Dim,
    /// The last element.
    last: Dim,
    /// Elements of the whole.
    size: Dim,
}

/// Constraints are equalities, so they say which of two is the larger or the smaller one.
impl Part {
    fn begins(&self) -> Option<Constraint> {
        let reason = || format!("a part that begins at {} must lie within {} elements", self.first, self.size);
        let left = self.first.minimum(0);
        (!left.is(0)).then(|| Constraint { left, right: Dim::default(), reason: reason() })
    }

    fn ends(&self) -> Option<Constraint> {
        let end = self.last.clone() + 1.into();
        let reason = || format!("a part that ends at {end} must lie within {} elements", self.size);
        let left = end.maximum(&self.size);
        (left != self.size).then(|| Constraint { left, right: self.size.clone(), reason: reason() })
    }
}

fn parts(graph: &Graph, value: Value) -> Vec<Part> {
    let (node, operands) = (graph.node(value), graph.operands(value));
    let dims = |position: usize| operands.get(position).map_or(&[][..], |operand| graph.ty(*operand).dims.as_slice());
    let (sizes, steps) = match node.op {
        Op::UpdateSlice => (dims(1), vec![1; node.ty.rank()]),
        Op::Slice => (node.ty.dims.as_slice(), node.attrs.ints("steps").to_vec()),
        _ => return Vec::new(),
    };
    let axes = node.attrs.dims("starts").iter().zip(sizes).zip(steps).zip(dims(0));
    axes.map(|(((start, count), step), size)| part(start, count, step, size)).collect()
}

fn part(start: &Dim, count: &Dim, step: i64, size: &Dim) -> Part {
    let other = start.clone() + (count.clone() - 1.into()) * step.into();
    let (first, last) = if step > 0 { (start.clone(), other) } else { (other, start.clone()) };
    Part { first, last, size: size.clone() }
}
