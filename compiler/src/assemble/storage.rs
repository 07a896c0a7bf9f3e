//! Where stored values lie, and how long.

use lostwax_ir::graph::{Graph, Output, Value};
use lostwax_ir::ops::Op;
use lostwax_passes::fuse::{Alias, Fused};
use lostwax_passes::plan_memory::Lifetime;
use lostwax_passes::schedule::View;
use std::collections::BTreeMap;

/// The memory of all stored values of a graph.
pub(super) struct Storage<'a> {
    graph: &'a Graph,
    fused: &'a Fused,
    /// The regions of the owners of memory that sessions give.
    given: BTreeMap<Value, Given>,
}

/// Memory that a run is given: which input, output or state it is, by position among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Input(usize),
    Output(usize),
    State(usize),
}

/// The inputs of a graph that are not states.
pub(super) fn inputs(graph: &Graph) -> impl Iterator<Item = Value> {
    graph.inputs().iter().copied().filter(|value| graph.op(*value) != Op::State)
}

/// The states of a graph.
pub(super) fn states(graph: &Graph) -> impl Iterator<Item = Value> {
    graph.inputs().iter().copied().filter(|value| graph.op(*value) == Op::State)
}

/// The outputs of a graph that are not next values of states.
pub(super) fn outputs(graph: &Graph) -> impl Iterator<Item = &Output> {
    graph
        .outputs()
        .iter()
        .enumerate()
        .filter(|(position, _)| graph.state_of_output(*position).is_none())
        .map(|(_, output)| output)
}

impl<'a> Storage<'a> {
    pub(super) fn new(graph: &'a Graph, fused: &'a Fused) -> Self {
        let mut storage = Self { graph, fused, given: BTreeMap::new() };
        let outputs = outputs(graph).enumerate().map(|(index, output)| (storage.owner(output.value), Given::Output(index)));
        let inputs = inputs(graph).enumerate().map(|(index, value)| (value, Given::Input(index)));
        let states = states(graph).enumerate().map(|(index, value)| (value, Given::State(index)));
        storage.given = outputs.chain(inputs).chain(states).collect();
        storage
    }

    /// The value whose memory holds `value`.
    pub(super) fn owner(&self, value: Value) -> Value {
        match self.fused.aliases.get(&value) {
            None => value,
            Some(Alias::Whole(target) | Alias::Slice(target, _)) => self.owner(*target),
        }
    }

    /// Where the elements of `value` lie in its owner's memory.
    pub(super) fn view(&self, value: Value) -> View {
        match self.fused.aliases.get(&value) {
            None | Some(Alias::Whole(_)) => View::dense(self.graph.ty(value)),
            Some(Alias::Slice(whole, start)) => {
                let view = self.view(*whole);
                View { base: view.index(start), strides: view.strides }
            }
        }
    }

    /// Which memory that sessions give `owner` is, if any.
    pub(super) fn given(&self, owner: Value) -> Option<Given> {
        self.given.get(&owner).copied()
    }

    fn in_arena(&self, owner: Value) -> bool {
        self.given(owner).is_none() && self.graph.as_constant(owner).is_none()
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
