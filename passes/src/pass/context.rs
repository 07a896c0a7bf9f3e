//! Options and data that all passes share.

use super::Registry;
use crate::cost::CostTable;
use crate::egraph::prices::Prices;
use crate::egraph::rewrite::CompiledRule;
use crate::egraph::rule::Phase;
use crate::error::PassError;
use crate::tier::Tier;
use lostwax_ir::graph::Graph;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Limits of the work that passes do, as counts, so that results never depend on time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rounds of rule application.
    pub iterations: usize,
    /// E-nodes per node of the graph.
    pub growth: usize,
    /// Nodes of a region that is rewritten as a whole.
    pub region_nodes: usize,
    /// Bytes that folding may make from nothing, per constant.
    pub folded_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { iterations: 24, growth: 40, region_nodes: 1500, folded_bytes: 1 << 16 }
    }
}

/// Checks a graph and gives all problems.
pub type Verifier = fn(&Graph) -> Vec<String>;

/// Options and data that all passes share. The default has the registry of lostwax itself.
#[derive(Clone, Debug)]
pub struct Context {
    /// The passes, rules and cost model that exist.
    pub registry: Arc<Registry>,
    /// How far results may change.
    pub tier: Tier,
    /// Names of rules and rule groups that must not be applied.
    pub disabled: BTreeSet<String>,
    /// The weight of bytes that are read and written against time; 1 is neutral.
    pub memory_weight: f64,
    /// Limits of the work.
    pub limits: Limits,
    /// The speed of the target's machine.
    pub costs: CostTable,
    /// Checks the graph after each pass; by default the verifier of the intermediate representation.
    pub verify: Option<Verifier>,
}

impl Context {
    /// Checks that the registry is consistent and that all disabled rules and rule groups exist. Everything that runs passes or
    /// applies rules calls it.
    ///
    /// # Errors
    /// Those of [`Registry::check`], and [`PassError::UnknownName`] with the nearest name.
    pub fn check(&self) -> Result<(), PassError> {
        self.registry.check()?;
        self.disabled.iter().try_for_each(|name| self.registry.check_rule_name(name))
    }

    /// The rules that a phase applies, in their order: those of all groups that take part, but neither disabled ones nor those
    /// that change results more than the tier allows.
    ///
    /// # Errors
    /// Those of [`Context::check`].
    pub fn rules(&self, phase: Phase) -> Result<Vec<&CompiledRule>, PassError> {
        self.check()?;
        let rules = self.registry.compiled()?.iter();
        let allowed = rules.filter(|(group, compiled)| {
            let disabled = self.disabled.contains(group.name) || self.disabled.contains(compiled.rule.name);
            group.phase <= phase && compiled.rule.tier <= self.tier && !disabled
        });
        Ok(allowed.map(|(_, compiled)| compiled).collect())
    }

    /// Prices by the registry's cost model.
    pub fn prices(&self) -> Prices<'_> {
        Prices { model: self.registry.cost_model(), costs: &self.costs, memory_weight: self.memory_weight }
    }
}
