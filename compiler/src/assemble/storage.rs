//! Where stored values lie, and how long.

use lostwax_ir::graph::{Graph, Value};
use lostwax_passes::fuse::{Fused, Placement};
use lostwax_passes::plan_memory::Lifetime;
use lostwax_passes::schedule::View;
use std::collections::BTreeMap;

/// The memory of all stored values of a graph.
pub(super) struct Storage<'a> {
    graph: &'a Graph,
    fused: &'a Fused,
    /// The output that each owner of memory is.
    outputs: BTreeMap<Value, usize>,
}

impl<'a> Storage<'a> {
    pub(super) fn new(graph: &'a Graph, fused: &'a Fused) -> Self {
        let mut storage = Self { graph, fused, outputs: BTreeMap::new() };
        let owners = graph.outputs().iter().enumerate().map(|(index, output)| (storage.owner(output.value), index));
        storage.outputs = owners.collect();
        storage
    }

    /// The value whose memory holds `value`.
    pub(super) fn owner(&self, value: Value) -> Value {
        match self.fused.placements.get(&value) {
            None => value,
            Some(Placement::Alias(target) | Placement::Part(target, _)) => self.owner(*target),
        }
    }

    /// Where the elements of `value` lie in its owner's memory.
    pub(super) fn view(&self, value: Value) -> View {
        match self.fused.placements.get(&value) {
            None | Some(Placement::Alias(_)) => View::dense(self.graph.ty(value)),
            Some(Placement::Part(whole, start)) => {
                let view = self.view(*whole);
                View { base: view.index(start), strides: view.strides }
            }
        }
    }

    /// Which output the memory of `owner` is, if it is one.
    pub(super) fn output_index(&self, owner: Value) -> Option<usize> {
        self.outputs.get(&owner).copied()
    }

    fn in_arena(&self, owner: Value) -> bool {
        let given = self.graph.inputs().contains(&owner) || self.graph.as_constant(owner).is_some();
        !given && self.output_index(owner).is_none()
    }

    /// The owners of arena memory with the steps during which they live: from the first that writes to the last that reads.
    pub(super) fn lifetimes(&self) -> Vec<(Value, Lifetime)> {
        let mut spans: BTreeMap<Value, (usize, usize)> = BTreeMap::new();
        for (step, group) in self.fused.groups.iter().enumerate() {
            let output = self.owner(group.output);
            if self.in_arena(output) {
                spans.entry(output).or_insert((step, step));
            }
            for owner in group.inputs.iter().map(|value| self.owner(*value)).chain([output]) {
                if let Some(span) = spans.get_mut(&owner) {
                    span.1 = step;
                }
            }
        }
        let lifetime = |(owner, (first, last)): (Value, (usize, usize))| {
            (owner, Lifetime { size: self.graph.ty(owner).byte_count(), first, last })
        };
        spans.into_iter().map(lifetime).collect()
    }
}
