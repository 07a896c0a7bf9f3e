//! Removes nodes that no output needs.

use crate::error::PassError;
use crate::pass::{Changed, Context, Pass};
use lostwax_ir::graph::Graph;

/// See [`remove_dead`].
pub const PASS: Pass = Pass { name: "remove_dead", doc: "Removes nodes that no output needs; inputs stay.", run: remove_dead };

/// Removes nodes that no output needs; inputs stay.
pub fn remove_dead(graph: &mut Graph, _: &Context) -> Result<Changed, PassError> {
    let before = graph.len();
    graph.remove_dead();
    Ok((graph.len() != before).into())
}
