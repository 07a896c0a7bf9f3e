//! Optimization levels as data.

use super::{Changed, Context, run_passes};
use crate::error::PassError;
use lostwax_ir::graph::Graph;

/// How much is optimized: the passes that run, and the rule groups that they leave out.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// The name on the command line, as in `-O3`; unique among all levels of a registry.
    pub name: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
    /// The passes from an imported to an optimized graph, in order.
    pub passes: &'static [&'static str],
    /// Rule groups that are not applied.
    pub without: &'static [&'static str],
}

impl Level {
    /// The context without the rules that this level leaves out.
    pub fn context(&self, ctx: &Context) -> Context {
        let mut ctx = ctx.clone();
        ctx.disabled.extend(self.without.iter().map(ToString::to_string));
        ctx
    }

    /// Optimizes a graph.
    ///
    /// # Errors
    /// [`PassError`] naming the pass that failed.
    pub fn run(&self, graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
        run_passes(self.passes, graph, &self.context(ctx))
    }
}
