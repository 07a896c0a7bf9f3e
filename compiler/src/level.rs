//! Optimization levels as data: the passes that run, and the rule groups that they leave out.

use crate::error::CompileError;
use lostwax_ir::graph::Graph;
use lostwax_passes::{Context, run_passes};

/// How much is optimized.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// What it does, for people.
    pub doc: &'static str,
    /// The passes from an imported to an optimized graph, in order.
    pub passes: &'static [&'static str],
    /// Rule groups that are not applied.
    pub disabled_groups: &'static [&'static str],
}

/// The levels that lostwax ships, by number; each does what those before it do.
pub const LEVELS: [Level; 4] = [
    Level {
        doc: "folds constants and shares equal nodes",
        passes: &["fold_constants", "share_common", "remove_dead"],
        disabled_groups: &[],
    },
    Level {
        doc: "also brings ops to canonical form, simplifies, and recognizes activations and averages",
        passes: REWRITE,
        disabled_groups: &["weights", "layout", "sink"],
    },
    Level { doc: "also folds scales and biases into weights, and chooses layouts", passes: REWRITE, disabled_groups: &[] },
    Level {
        doc: "also stores padded inputs of convolutions with few channels, which takes memory",
        passes: &[
            "fold_constants",
            "canonicalize",
            "share_common",
            "optimize",
            "fold_constants",
            "split_padding",
            "share_common",
            "nest_concats",
            "remove_dead",
        ],
        disabled_groups: &[],
    },
];

const REWRITE: &[&str] = &[
    "fold_constants",
    "canonicalize",
    "share_common",
    "optimize",
    "fold_constants",
    "share_common",
    "nest_concats",
    "remove_dead",
];

impl Level {
    /// The context without the rules that this level leaves out.
    pub fn context(&self, passes: &Context) -> Context {
        let mut context = passes.clone();
        context.disabled.extend(self.disabled_groups.iter().map(ToString::to_string));
        context
    }

    /// Optimizes a graph.
    ///
    /// # Errors
    /// [`CompileError::Pass`] naming the pass that failed.
    pub fn run(&self, graph: &mut Graph, passes: &Context) -> Result<(), CompileError> {
        run_passes(self.passes, graph, &self.context(passes))?;
        Ok(())
    }
}
