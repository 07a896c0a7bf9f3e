//! Rules about powers.

use egg::Id;
use lostwax_ir::ops::Op;
use lostwax_passes::egraph::rule::{Rule, built, rule};
use lostwax_passes::egraph::site::RuleMatch;
use lostwax_passes::{Phase, RuleGroup, Tier};

/// The rules, for the registry. They take part from the first phase of the optimizer on.
pub const GROUP: RuleGroup = RuleGroup { name: "powers", doc: "Identities of powers.", phase: Phase::Recognize, rules: RULES };

const RULES: &[Rule] = &[
    // Both sides are texts; guards are conditions on the left side.
    rule("square_abs", Tier::Exact, &["(mul (abs ?x) (abs ?x))"], &["float(?x)"], "(mul ?x ?x)"),
    // The right side is built by a function, which may also refuse.
    built("exp_product", Tier::Reassociate, &["(mul (exp ?x) (exp ?y))"], &["same_type(?x)", "same_type(?y)"], exp_of_sum),
];

fn exp_of_sum(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (x, y) = (site.var("x")?, site.var("y")?);
    let sum = site.add(Op::Add, None, &[x, y])?;
    site.add(Op::Exp, None, &[sum])
}
