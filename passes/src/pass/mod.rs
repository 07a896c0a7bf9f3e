//! What a pass is, what all passes share, and where they are registered.

mod context;
mod registry;
#[cfg(test)]
mod tests;

pub use context::{Context, Limits, Verifier};
pub use registry::Registry;

use crate::error::PassError;
use lostwax_ir::graph::Graph;

/// Whether a pass changed the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The graph is as before.
    No,
    /// The graph differs.
    Yes,
}

impl From<bool> for Changed {
    fn from(changed: bool) -> Self {
        if changed { Changed::Yes } else { Changed::No }
    }
}

/// A named graph transformation.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The name on the command line; unique among all passes of a registry.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Transforms the graph. The graph is valid before and after. Inputs, outputs and states keep their names, types and order.
    pub run: fn(&mut Graph, &Context) -> Result<Changed, PassError>,
}

impl Pass {
    /// Checks the context, runs the pass and checks the graph after it.
    ///
    /// # Errors
    /// [`PassError`] naming the pass; those of [`Context::check`].
    pub fn apply(&self, graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
        ctx.check()?;
        let changed = (self.run)(graph, ctx)?;
        let problems = ctx.verify.map_or_else(Vec::new, |verify| verify(graph));
        if problems.is_empty() { Ok(changed) } else { Err(PassError::InvalidGraph { pass: self.name, problems }) }
    }
}

/// Runs passes of the context's registry by name, in order.
///
/// # Errors
/// [`PassError`] of the first pass that fails, or of a name that does not exist; nothing runs then.
pub fn run_passes(names: &[&str], graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
    ctx.check()?;
    let passes = names.iter().map(|name| ctx.registry.pass(name)).collect::<Result<Vec<_>, _>>()?;
    let mut changed = Changed::No;
    for pass in passes {
        if pass.apply(graph, ctx)? == Changed::Yes {
            changed = Changed::Yes;
        }
    }
    Ok(changed)
}
