//! What lostwax itself registers: its passes and rule groups.

use crate::cost::CostTable;
use crate::pass::{Context, Limits, Registry};
use crate::tier::Tier;
use crate::{PASSES, rules};
use lostwax_ir::verify::verify_graph;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Default for Registry {
    fn default() -> Self {
        let registry = PASSES.iter().copied().fold(Registry::empty(), Registry::with_pass);
        rules::GROUPS.iter().copied().fold(registry, Registry::with_rules)
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
