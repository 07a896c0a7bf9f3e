//! Entry points of models.

use lostwax_ir::graph::Graph;

/// A function of a model: a graph, and the name under which sessions run it.
#[derive(Clone, Debug)]
pub struct EntryGraph {
    /// The name.
    pub name: String,
    /// What it computes.
    pub graph: Graph,
}
