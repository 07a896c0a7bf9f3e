//! A complete `lostwax` program with the rules, the pass and the cost model of this crate, and a level that runs them.

use lostwax::Registry;
use lostwax::compiler::level::Level;
use std::process::ExitCode;
use std::sync::Arc;

/// The highest level of lostwax with the pass of this crate.
const RESEARCH: Level = Level {
    doc: "also merges matrix products with the same left factor",
    passes: &[
        "fold_constants",
        "canonicalize",
        "merge_products",
        "share_common",
        "optimize",
        "fold_constants",
        "split_padding",
        "share_common",
        "nest_concats",
        "remove_dead",
    ],
    disabled_groups: &[],
};

fn main() -> ExitCode {
    let mut registry = Registry::default();
    registry.passes = Arc::new(lostwax_research::registry());
    registry.levels.push(RESEARCH);
    lostwax::cli::main_with(registry)
}
