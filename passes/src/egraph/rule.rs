//! Rewrite rules as named data.
//!
//! A rule equates its left with its right side wherever its guards hold; all conditions are on the left. Operands of
//! commutative ops are matched in both orders.
//!
//! ```
//! use lostwax_passes::egraph::rule::{Phase, Rule, RuleGroup, rule};
//! use lostwax_passes::{Tier, testing};
//!
//! const RULES: &[Rule] = &[rule("exp_log", Tier::Contract, &["(exp (log ?x))"], &["float(?x)"], "(abs ?x)")];
//! const GROUP: RuleGroup = RuleGroup { name: "logarithms", doc: "Powers and logarithms.", phase: Phase::Recognize, rules: RULES };
//!
//! let problem = testing::check_rules(&GROUP, 17).unwrap_err().to_string();
//! assert!(problem.contains("exp_log"), "the logarithm of a negative number is not a number: {problem}");
//! ```

use super::site::RuleMatch;
use crate::tier::Tier;
use egg::Id;
use lostwax_ir::ops::Op;

/// The phases of the optimizer, in order. Each applies the rules of those before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Simplification, and recognition of what models spell out.
    Recognize,
    /// Constants move into weights.
    Weights,
    /// Layouts are chosen.
    Layout,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Phase; 3] = [Phase::Recognize, Phase::Weights, Phase::Layout];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Recognize => "recognize",
            Phase::Weights => "weights",
            Phase::Layout => "layout",
        }
    }
}

/// Rules of one topic, which can be disabled together by its name.
#[derive(Clone, Copy, Debug)]
pub struct RuleGroup {
    /// The topic; unique among all rules and rule groups of a registry.
    pub name: &'static str,
    /// What the rules do, in one sentence.
    pub doc: &'static str,
    /// The first phase that applies them.
    pub phase: Phase,
    /// The rules, in the order in which they are applied.
    pub rules: &'static [Rule],
}

/// Builds the right side of a rule; `None` where the rule does not apply.
pub type Build = fn(&mut RuleMatch<'_>) -> Option<Id>;

/// Where a rule applies.
#[derive(Clone, Copy, Debug)]
pub enum Left {
    /// Where one of these patterns matches; see [`super::pattern`].
    Text(&'static [&'static str]),
    /// At every op that fits.
    Each {
        /// Whether an op fits.
        matches: fn(Op) -> bool,
        /// Patterns to which the rule applies, for tests and documentation.
        examples: &'static [&'static str],
    },
}

/// What a rule makes.
#[derive(Clone, Copy, Debug)]
pub enum Right {
    /// This term.
    Text(&'static str),
    /// What this function builds.
    Build(Build),
}

/// A rewrite rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The name, unique among all rules and rule groups of a registry.
    pub name: &'static str,
    /// How far the rule may change results.
    pub tier: Tier,
    /// Where it applies.
    pub left: Left,
    /// Further conditions, by name; see [`super::guards`].
    pub guards: &'static [&'static str],
    /// What it makes.
    pub right: Right,
}

impl Rule {
    /// The text of the left side or of examples of it.
    pub fn patterns(&self) -> &'static [&'static str] {
        match self.left {
            Left::Text(texts) => texts,
            Left::Each { examples, .. } => examples,
        }
    }
}

/// A rule whose sides are texts.
pub const fn rule(
    name: &'static str,
    tier: Tier,
    left: &'static [&'static str],
    guards: &'static [&'static str],
    right: &'static str,
) -> Rule {
    Rule { name, tier, left: Left::Text(left), guards, right: Right::Text(right) }
}

/// A rule whose right side is built by a function.
pub const fn built(
    name: &'static str,
    tier: Tier,
    left: &'static [&'static str],
    guards: &'static [&'static str],
    right: Build,
) -> Rule {
    Rule { name, tier, left: Left::Text(left), guards, right: Right::Build(right) }
}
