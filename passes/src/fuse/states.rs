//! How the next values of states get into the memory of the states.

use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Class;

/// How a next value gets into the memory of its state, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// The kernels that make it write there.
    InPlace,
    /// What replaces slices of the state has memory of its own and is copied; only updates can do so.
    UpdatesCopied,
    /// All of it has memory of its own and is copied once the old contents are needed no more.
    Copied,
}

/// The next value of one state.
#[derive(Clone, Debug)]
pub(super) struct Next {
    /// The state.
    pub(super) state: Value,
    /// What it becomes.
    pub(super) value: Value,
    /// How it gets there.
    pub(super) transfer: Transfer,
    /// The updates that lead from the state to the value, if nothing else does.
    updates: Vec<Value>,
}

impl Next {
    /// The updates that happen in the memory of the state.
    pub(super) fn updates_in_place(&self) -> &[Value] {
        if self.transfer == Transfer::Copied { &[] } else { &self.updates }
    }

    /// Whether the value is not an update and made in the memory of the state.
    pub(super) fn is_written_whole(&self) -> bool {
        self.transfer == Transfer::InPlace && self.updates.is_empty()
    }

    /// Falls back to the next best transfer.
    pub(super) fn demote(&mut self) {
        self.transfer = match self.transfer {
            Transfer::InPlace if !self.updates.is_empty() => Transfer::UpdatesCopied,
            Transfer::InPlace | Transfer::UpdatesCopied | Transfer::Copied => Transfer::Copied,
        };
    }
}

/// The next values of all states that change, in the order of the outputs.
pub(super) fn next_values(graph: &Graph) -> Vec<Next> {
    let next = |(position, value): (usize, Value)| {
        let state = graph.state_of_output(position).filter(|state| *state != value)?;
        let transfer = if is_only_output(graph, value) { Transfer::InPlace } else { Transfer::Copied };
        Some(Next { state, value, transfer, updates: updates(graph, state, value) })
    };
    graph.outputs().iter().map(|output| output.value).enumerate().filter_map(next).collect()
}

fn is_only_output(graph: &Graph, value: Value) -> bool {
    graph.outputs().iter().filter(|output| output.value == value).count() == 1
}

/// The updates that `value` consists of, from the state on; none if it is not the state with updates, or one of those on the
/// way is an output too.
fn updates(graph: &Graph, state: Value, value: Value) -> Vec<Value> {
    let (mut updates, mut at) = (Vec::new(), value);
    while graph.op(at).def().class == Class::Update
        && let Some(updated) = graph.operands(at).first()
    {
        updates.push(at);
        at = *updated;
    }
    let is_output = |value: &Value| graph.outputs().iter().any(|output| output.value == *value);
    if at != state || updates.iter().skip(1).any(is_output) {
        return Vec::new();
    }
    updates.reverse();
    updates
}
