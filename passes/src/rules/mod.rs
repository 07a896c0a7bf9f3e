//! Rewrite rules as named data.
//!
//! A rule equates its left with its right side wherever its guards hold; all conditions are on the left. Operands of
//! commutative ops are matched in both orders. Every rule is checked against the reference evaluation by a generated test.

pub mod functions;
pub mod guards;

use crate::egraph::rewrite::CompiledRule;
use crate::egraph::site::Site;
use crate::pass::{Context, PassError, Tier};
use egg::Id;
use lostwax_ir::ops::Op;
use std::sync::LazyLock;

/// Builds the right side of a rule; `None` where the rule does not apply.
pub type Build = fn(&mut Site<'_>) -> Option<Id>;

/// Where a rule applies.
#[derive(Clone, Copy)]
pub enum Left {
    /// Where one of these patterns matches; see [`crate::egraph::pattern`].
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
#[derive(Clone, Copy)]
pub enum Right {
    /// This term.
    Text(&'static str),
    /// What this function builds.
    Build(Build),
}

/// A rewrite rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// The name, unique among all rules.
    pub name: &'static str,
    /// How far the rule may change results.
    pub tier: Tier,
    /// Where it applies.
    pub left: Left,
    /// Further conditions, by name; see [`guards`].
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
const fn rule(
    name: &'static str,
    tier: Tier,
    left: &'static [&'static str],
    guards: &'static [&'static str],
    right: &'static str,
) -> Rule {
    Rule { name, tier, left: Left::Text(left), guards, right: Right::Text(right) }
}

/// A rule whose right side is built by a function.
const fn built(
    name: &'static str,
    tier: Tier,
    left: &'static [&'static str],
    guards: &'static [&'static str],
    right: Build,
) -> Rule {
    Rule { name, tier, left: Left::Text(left), guards, right: Right::Build(right) }
}

/// Rules of one topic, which can be disabled together by its name.
#[derive(Clone, Copy)]
pub struct Group {
    /// The topic.
    pub name: &'static str,
    /// The rules.
    pub rules: &'static [Rule],
}

/// Lists the rule groups: the file, which holds a constant `RULES`.
macro_rules! groups {
    ($($module:ident,)*) => {
        $(pub mod $module;)*

        /// All rule groups.
        pub const GROUPS: &[Group] = &[$(Group { name: stringify!($module), rules: $module::RULES },)*];
    };
}

groups! {
    algebra,
    movement,
    weights,
    recognize,
    layout,
    sink,
}

/// All rules with the names of their groups.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    GROUPS.iter().flat_map(|group| group.rules.iter().map(|rule| (group.name, rule)))
}

/// Rules with the names of their groups, or the rule that cannot be read and why.
type CompiledRules = Result<Vec<(&'static str, CompiledRule)>, (String, String)>;

/// All rules, read once.
static COMPILED: LazyLock<CompiledRules> = LazyLock::new(|| {
    let compile = |(group, rule): (&'static str, &'static Rule)| Ok((group, CompiledRule::new(rule)?));
    let compiled: Result<Vec<_>, PassError> = rules().map(compile).collect();
    compiled.map_err(|error| ("all".to_string(), error.to_string()))
});

/// The rules of the named groups that the options allow.
///
/// # Errors
/// [`PassError::InvalidRule`] if the text of a rule cannot be read.
pub fn enabled(groups: &[&str], ctx: &Context) -> Result<Vec<&'static CompiledRule>, PassError> {
    let invalid = |(rule, problem): &(String, String)| PassError::InvalidRule { rule: rule.clone(), problem: problem.clone() };
    let all = COMPILED.as_ref().map_err(invalid)?;
    let allowed = |(group, compiled): &&(&'static str, CompiledRule)| {
        let disabled = ctx.disabled.contains(*group) || ctx.disabled.contains(compiled.rule.name);
        groups.contains(group) && compiled.rule.tier <= ctx.tier && !disabled
    };
    Ok(all.iter().filter(allowed).map(|(_, compiled)| compiled).collect())
}

#[cfg(test)]
mod tests;
