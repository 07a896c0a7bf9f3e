#![forbid(unsafe_code)]
//! Rewrite rules, a pass and a cost model of one's own, added to those of lostwax.

pub mod energy;
pub mod merge_products;
pub mod powers;

use lostwax_passes::Registry;

/// Everything of lostwax, with what this crate adds.
pub fn registry() -> Registry {
    Registry::default().with_rules(powers::GROUP).with_pass(merge_products::PASS).with_cost_model(energy::Energy::default())
}
