//! What lostwax itself registers: its passes, rule groups and levels.

use crate::cost::CostTable;
use crate::pass::{Context, Level, Limits, Registry};
use crate::tier::Tier;
use crate::{PASSES, rules};
use lostwax_ir::verify::verify_graph;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The name of the level that optimizes most; each level does what those before it do.
pub const HIGHEST_LEVEL: &str = "3";

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

const LEVELS: &[Level] = &[
    Level {
        name: "0",
        doc: "folds constants and shares equal nodes",
        passes: &["fold_constants", "share_common", "remove_dead"],
        without: &[],
    },
    Level {
        name: "1",
        doc: "also brings ops to canonical form, simplifies, and recognizes activations and normalizations",
        passes: REWRITE,
        without: &["weights", "layout", "sink"],
    },
    Level { name: "2", doc: "also folds scales and biases into weights, and chooses layouts", passes: REWRITE, without: &[] },
    Level {
        name: HIGHEST_LEVEL,
        doc: "also stores what convolutions with few channels read with a border, which takes memory",
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
        without: &[],
    },
];

impl Default for Registry {
    fn default() -> Self {
        let registry = PASSES.iter().copied().fold(Registry::empty(), Registry::with_pass);
        let registry = rules::GROUPS.iter().copied().fold(registry, Registry::with_rules);
        LEVELS.iter().copied().fold(registry, Registry::with_level)
    }
}

impl Default for Context {
    fn default() -> Self {
        Self {
            registry: Arc::new(Registry::default()),
            tier: Tier::Reassociate,
            disabled: BTreeSet::new(),
            memory_weight: 1.0,
            limits: Limits::default(),
            costs: CostTable::default(),
            verify: Some(|graph| verify_graph(graph).iter().map(ToString::to_string).collect()),
        }
    }
}
