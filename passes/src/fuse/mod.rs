//! Fusion: groups tensor operations into kernels.
//!
//! There is one [`Decision`] for every value: it is stored by a group of its own, computed anew inside the groups that use it,
//! an alias of another value under another shape, or assembled from slices that others store in place. A group is one
//! [`Compute`]: what its stored value needs is inlined into it, with at most one reduction. No decision looks at the name of an
//! op; all follow from classes and computes.
//!
//! The next value of a state is made in the memory of the state where that is possible: an update there replaces its slice
//! and copies nothing. Groups are ordered so that old contents are read before; where they are needed longer, what replaces them
//! is stored elsewhere and copied at the end.

mod decide;
mod expand;
mod order;
mod states;

pub use decide::{Decision, is_given};

use crate::error::PassError;
use decide::Decisions;
use lostwax_ir::compute::Compute;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Class;
use states::{Next, Transfer};
use std::collections::BTreeMap;

/// One kernel to be made: what it computes, from which stored values, and where the result goes.
#[derive(Clone, Debug)]
pub struct Group {
    /// What is computed; input `i` is the stored value `inputs[i]`.
    pub compute: Compute,
    /// The stored values that are read.
    pub inputs: Vec<Value>,
    /// The value that is stored; for a copy the value or state that is copied to.
    pub output: Value,
    /// The coordinates of the output at which the result starts; zero except for copies of slices.
    pub start: Vec<Dim>,
    /// The nodes of the graph that the group computes.
    pub members: Vec<Value>,
}

/// The memory of a stored value that has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alias {
    /// The same elements in the same order as another stored value.
    Whole(Value),
    /// The slice of another stored value that starts at these coordinates.
    Slice(Value, Vec<Dim>),
}

/// The result of fusion.
#[derive(Clone, Debug, Default)]
pub struct Fused {
    /// The groups in an order in which they can run.
    pub groups: Vec<Group>,
    /// The stored values that share memory with others.
    pub aliases: BTreeMap<Value, Alias>,
}

/// Groups the nodes of `graph` into kernels.
///
/// # Errors
/// [`PassError`] naming an op that has no lowering.
pub fn fuse(graph: &Graph) -> Result<Fused, PassError> {
    fuse_within(graph, u32::MAX)
}

/// Groups the nodes of `graph` into kernels that take at most `arguments` arguments, unless a node alone takes more.
///
/// # Errors
/// [`PassError`] naming an op that has no lowering.
pub fn fuse_within(graph: &Graph, arguments: u32) -> Result<Fused, PassError> {
    let order = graph.topological();
    let computes = lower(graph, &order)?;
    let mut next = states::next_values(graph);
    loop {
        let decisions = Decisions::new(graph, &order, &computes, &next, arguments as usize);
        let mut fused = groups(graph, &order, &computes, &decisions);
        let unfit = decisions.unfit().map_or_else(|| order::order(graph, &mut fused, &next).err(), Some);
        match unfit.and_then(|position| next.get_mut(position)).filter(|next| next.transfer != Transfer::Copied) {
            None => return Ok(fused),
            Some(next) => next.demote(),
        }
    }
}

fn groups(graph: &Graph, order: &[Value], computes: &BTreeMap<Value, Compute>, decisions: &Decisions<'_>) -> Fused {
    let mut fused = Fused { groups: Vec::new(), aliases: decisions.aliases.clone() };
    for value in order {
        match decisions.decision(*value) {
            Decision::Stored => fused.groups.push(expand::group(graph, computes, decisions, *value)),
            Decision::Assembled => fused.groups.extend(copies(graph, decisions, *value)),
            Decision::Given | Decision::Inlined | Decision::Alias => {}
        }
    }
    let copied = decisions.next.iter().filter(|next| next.transfer == Transfer::Copied);
    fused.groups.extend(
        copied.map(|Next { state, value, .. }| copy(graph, *value, *state, vec![Dim::default(); graph.ty(*state).rank()])),
    );
    fused
}

/// The compute of a node, if its op lowers to one.
pub(crate) fn definition(graph: &Graph, value: Value) -> Option<Compute> {
    let node = graph.node(value);
    let operands = graph.operands(value);
    let types: Vec<_> = operands.iter().map(|operand| graph.ty(*operand)).collect();
    (node.op.def().lower)(&types, &node.attrs, &node.ty)
}

/// The computes of all nodes that have operands or make their elements themselves.
fn lower(graph: &Graph, order: &[Value]) -> Result<BTreeMap<Value, Compute>, PassError> {
    let mut computes = BTreeMap::new();
    for value in order {
        let node = graph.node(*value);
        if decide::is_given(graph, *value) || node.op.def().class == Class::Concatenation {
            continue;
        }
        let compute = definition(graph, *value).ok_or_else(|| PassError::Unsupported {
            pass: "fuse",
            what: format!("`{}` (nodes {:?}): it has no definition that kernels are made from", node.op, node.origin),
        })?;
        computes.insert(*value, compute);
    }
    Ok(computes)
}

/// Copies of those slices of a value that are not stored in place.
fn copies(graph: &Graph, decisions: &Decisions<'_>, value: Value) -> Vec<Group> {
    let slices = decide::slices(graph, value).into_iter().enumerate();
    let elsewhere = slices.filter(|(position, (operand, _))| !decisions.stored_in_place(*operand, value, *position));
    elsewhere.map(|(_, (operand, start))| copy(graph, operand, value, start)).collect()
}

/// A copy of `value` to the slice of `whole` that starts at `start`.
fn copy(graph: &Graph, value: Value, whole: Value, start: Vec<Dim>) -> Group {
    let ty = graph.ty(value);
    let compute = Compute::map(&[ty], ty, |body, coords| {
        body.load(0, coords.to_vec());
    });
    Group { compute, inputs: vec![value], output: whole, start, members: vec![whole] }
}

#[cfg(test)]
mod tests;
