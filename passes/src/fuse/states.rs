//! How the next values of states get into the memory of the states.

use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Class;

/// Ways to bring a next value into the memory of its state, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The kernels that make it write there.
    Written,
    /// What replaces parts of the state has memory of its own and is copied; only updates can do so.
    PartsCopied,
    /// All of it has memory of its own and is copied when nobody needs the old contents.
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
    pub(super) way: Way,
    /// The updates that lead from the state to the value, if nothing else does.
    updates: Vec<Value>,
}

impl Next {
    /// The updates that happen in the memory of the state.
    pub(super) fn updates_in_place(&self) -> &[Value] {
        if self.way == Way::Copied { &[] } else { &self.updates }
    }

    /// Whether the value is no update and made in the memory of the state.
    pub(super) fn is_written_whole(&self) -> bool {
        self.way == Way::Written && self.updates.is_empty()
    }

    /// Goes over to the next best way.
    pub(super) fn demote(&mut self) {
        self.way = match self.way {
            Way::Written if !self.updates.is_empty() => Way::PartsCopied,
            Way::Written | Way::PartsCopied | Way::Copied => Way::Copied,
        };
    }
}

/// The next values of all states that change, in the order of the outputs.
pub(super) fn next_values(graph: &Graph) -> Vec<Next> {
    let next = |(position, value): (usize, Value)| {
        let state = graph.state_of_output(position).filter(|state| *state != value)?;
        let way = if is_only_output(graph, value) { Way::Written } else { Way::Copied };
        Some(Next { state, value, way, updates: updates(graph, state, value) })
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
