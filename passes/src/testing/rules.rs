//! Every rule is instantiated at random, applied, and both sides are evaluated.

use super::generate::Generator;
use super::{agree, evaluate, print, random_inputs};
use crate::cost::{CostTable, Roofline};
use crate::egraph::convert::Loaded;
use crate::egraph::language::ENode;
use crate::egraph::prices::Prices;
use crate::egraph::rewrite::{self, CompiledRule};
use crate::egraph::rule::{Rule, RuleGroup};
use crate::error::PassError;
use crate::tier::Tier;
use egg::Language;
use lostwax_ir::graph::Graph;
use lostwax_ir::random::Random;

/// Random instances that are tried for each pattern.
const TRIES: usize = 3000;

/// Instances of each pattern to which the rule must apply.
const WANTED: usize = 12;

/// E-nodes that one application may make.
const NODE_LIMIT: usize = 100_000;

/// Checks every rule of a group: each pattern, or example of one, is instantiated at random, with constants that the guards ask
/// for; the rule must apply to some instances, and there both sides must agree as its tier promises. Rules that change nothing
/// but the sign of zeros also meet infinities and NaN. The same seed gives the same instances.
///
/// Instances have static shapes of up to five dims. Patterns may consist of elementwise ops, reductions, movements,
/// concatenations, convolutions, windows and `matmul`, `cumsum` and `resize`.
///
/// # Errors
/// [`PassError::InvalidRule`], [`PassError::UnsoundRule`] or [`PassError::WrongRule`], with the instance.
pub fn check_rules(group: &RuleGroup, seed: u64) -> Result<(), PassError> {
    let mut random = Random::new(seed);
    for rule in group.rules {
        let test = RuleTest { rule, compiled: CompiledRule::new(rule)? };
        rule.patterns().iter().try_for_each(|text| test.pattern(text, &mut random))?;
    }
    Ok(())
}

struct RuleTest {
    rule: &'static Rule,
    compiled: CompiledRule,
}

impl RuleTest {
    /// Checks instances of one pattern.
    fn pattern(&self, text: &str, random: &mut Random) -> Result<(), PassError> {
        let mut applied = 0;
        for _ in 0..TRIES {
            if let Some(before) = Generator::graph(self.rule, text, random)
                && let Some(after) = self.apply(&before)?
            {
                self.compare(&before, &after, random)?;
                applied += 1;
            }
            if applied == WANTED {
                return Ok(());
            }
        }
        Err(self.wrong(format!("it applies to {applied} of {TRIES} random instances of `{text}`, {WANTED} are wanted")))
    }

    fn wrong(&self, problem: String) -> PassError {
        PassError::WrongRule { rule: self.rule.name.to_string(), problem }
    }

    /// The graph after the rule was applied to its output; `None` if it was not.
    fn apply(&self, graph: &Graph) -> Result<Option<Graph>, PassError> {
        let Some(output) = graph.outputs().first().map(|output| output.value) else { return Ok(None) };
        let mut loaded = Loaded::new(graph);
        let Some(root) = loaded.class(output) else { return Ok(None) };
        let old = loaded.egraph[root].nodes.clone();
        rewrite::run(&mut loaded.egraph, &[&self.compiled], 1, NODE_LIMIT)?;
        let Some(root) = loaded.class(output) else { return Ok(None) };
        let old: Vec<ENode> = old.into_iter().map(|node| node.map_children(|id| loaded.egraph.find(id))).collect();
        let nodes = &loaded.egraph[root].nodes;
        let price = |node: &ENode| if nodes.contains(node) && old.contains(node) { 1_000_000 } else { 1 };
        let prices = Prices { model: &Roofline, costs: &CostTable::default(), memory_weight: 1.0 };
        let selection = loaded.select_by(prices, price).ok_or(PassError::NotExtracted)?;
        if selection.node(root).is_none_or(|chosen| old.contains(chosen)) {
            return Ok(None);
        }
        loaded.build(&selection).map(Some).map_err(|source| self.wrong(format!("it builds an invalid node: {source}")))
    }

    /// Compares the results of the graph before and after on random inputs.
    fn compare(&self, before: &Graph, after: &Graph, random: &mut Random) -> Result<(), PassError> {
        let show = || format!("{}becomes\n{}", print(before), print(after));
        let no_value = || self.wrong(format!("there is no value:\n{}", show()));
        let inputs = random_inputs(before, random, self.rule.tier == Tier::Exact).ok_or_else(no_value)?;
        let (left, right) = (evaluate(before, &inputs).ok_or_else(no_value)?, evaluate(after, &inputs).ok_or_else(no_value)?);
        for (left, right) in left.iter().zip(&right) {
            if !agree(left, right, self.rule.tier) {
                let values = format!("{:?}\nbecomes\n{:?}\nfor {inputs:?}", left.to_f64(), right.to_f64());
                return Err(self.wrong(format!("it changes results:\n{}{values}", show())));
            }
        }
        Ok(())
    }
}
