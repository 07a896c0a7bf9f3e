//! All passes and rule groups, and the cost model, as one value.

use super::Pass;
use crate::cost::{CostModel, Roofline};
use crate::egraph::rewrite::CompiledRule;
use crate::egraph::rule::{Rule, RuleGroup};
use crate::error::PassError;
use lostwax_ir::suggest::similar;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// What messages call each kind.
const PASS: &str = "pass";
const RULE: &str = "rule or rule group";
const GROUP: &str = "rule group";

/// Rules that are ready to be applied, with their groups.
type Compiled = Vec<(RuleGroup, CompiledRule)>;

/// The passes, rule groups and the cost model that a compilation can use.
///
/// The default has everything of lostwax; more is added to it. Names are checked when the registry is first used, or by
/// [`Registry::check`].
///
/// ```
/// use lostwax_passes::{Changed, Pass, Registry};
///
/// const IDLE: Pass = Pass { name: "idle", doc: "Does nothing.", run: |_, _| Ok(Changed::No) };
///
/// let registry = Registry::default().with_pass(IDLE);
/// assert_eq!(registry.pass("idle")?.doc, "Does nothing.");
/// let error = registry.pass("canonicalise").unwrap_err();
/// assert_eq!(error.to_string(), "there is no pass `canonicalise`; did you mean `canonicalize`?");
/// assert!(registry.with_pass(IDLE).check().is_err(), "each name exists once");
/// # Ok::<(), lostwax_passes::PassError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    passes: Vec<Pass>,
    groups: Vec<RuleGroup>,
    cost_model: Arc<dyn CostModel>,
    /// The rules, once they were read.
    compiled: OnceLock<Result<Arc<Compiled>, PassError>>,
}

impl Registry {
    /// A registry with nothing in it but the cost model [`Roofline`].
    pub fn empty() -> Self {
        Self { passes: Vec::new(), groups: Vec::new(), cost_model: Arc::new(Roofline), compiled: OnceLock::new() }
    }

    /// The registry with one more pass.
    pub fn with_pass(mut self, pass: Pass) -> Self {
        self.passes.push(pass);
        self.changed()
    }

    /// The registry with one more rule group, whose rules are applied after those of the others.
    pub fn with_rules(mut self, group: RuleGroup) -> Self {
        self.groups.push(group);
        self.changed()
    }

    /// The registry with another cost model.
    pub fn with_cost_model(mut self, model: impl CostModel + 'static) -> Self {
        self.cost_model = Arc::new(model);
        self
    }

    fn changed(mut self) -> Self {
        self.compiled = OnceLock::new();
        self
    }

    /// The passes in order of registration.
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The rule groups in the order in which they are applied.
    pub fn rule_groups(&self) -> &[RuleGroup] {
        &self.groups
    }

    /// The rules with their groups, in the order in which they are applied.
    pub fn rules(&self) -> impl Iterator<Item = (&RuleGroup, &'static Rule)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }

    /// The cost model.
    pub fn cost_model(&self) -> &dyn CostModel {
        self.cost_model.as_ref()
    }

    /// The pass of that name.
    ///
    /// # Errors
    /// [`PassError::UnknownName`] with the nearest name.
    pub fn pass(&self, name: &str) -> Result<&Pass, PassError> {
        let found = self.passes.iter().find(|pass| pass.name == name);
        found.ok_or_else(|| unknown(PASS, name, self.pass_names().collect()))
    }

    /// The rule group of that name.
    ///
    /// # Errors
    /// [`PassError::UnknownName`] with the nearest name.
    pub fn rule_group(&self, name: &str) -> Result<&RuleGroup, PassError> {
        let found = self.groups.iter().find(|group| group.name == name);
        found.ok_or_else(|| unknown(GROUP, name, self.group_names().collect()))
    }

    /// Checks that a rule or rule group of that name exists.
    ///
    /// # Errors
    /// [`PassError::UnknownName`] with the nearest name.
    pub fn check_rule_name(&self, name: &str) -> Result<(), PassError> {
        if self.rule_names().any(|known| known == name) {
            return Ok(());
        }
        let nearest = similar(name, self.rule_names());
        Err(PassError::UnknownName { kind: RULE, name: name.to_string(), nearest, known: self.group_names().collect() })
    }

    /// Checks that every name exists once and that all rules can be read.
    ///
    /// # Errors
    /// [`PassError::DuplicateName`] and [`PassError::InvalidRule`].
    pub fn check(&self) -> Result<(), PassError> {
        self.compiled().map(|_| ())
    }

    /// All rules, ready to be applied; they are read once for each registry.
    pub(super) fn compiled(&self) -> Result<&[(RuleGroup, CompiledRule)], PassError> {
        match self.compiled.get_or_init(|| self.compile().map(Arc::new)) {
            Ok(compiled) => Ok(compiled),
            Err(error) => Err(error.clone()),
        }
    }

    fn compile(&self) -> Result<Compiled, PassError> {
        once(PASS, self.pass_names())?;
        once(RULE, self.rule_names())?;
        self.rules().map(|(group, rule)| Ok((*group, CompiledRule::new(rule)?))).collect()
    }

    fn pass_names(&self) -> impl Iterator<Item = &'static str> {
        self.passes.iter().map(|pass| pass.name)
    }

    fn group_names(&self) -> impl Iterator<Item = &'static str> {
        self.groups.iter().map(|group| group.name)
    }

    fn rule_names(&self) -> impl Iterator<Item = &'static str> {
        self.group_names().chain(self.rules().map(|(_, rule)| rule.name))
    }
}

fn unknown(kind: &'static str, name: &str, known: Vec<&'static str>) -> PassError {
    PassError::UnknownName { kind, name: name.to_string(), nearest: similar(name, known.iter().copied()), known }
}

/// Checks that no name occurs twice.
fn once(kind: &'static str, names: impl Iterator<Item = &'static str>) -> Result<(), PassError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(PassError::DuplicateName { kind, name });
        }
    }
    Ok(())
}
