//! Our rewrite rules, a file for each group. Every rule is compared with the reference evaluation on random instances.

pub mod algebra;
pub mod layout;
pub mod movement;
pub mod recognize;
pub mod sink;
pub mod weights;

use crate::egraph::rule::{Phase, RuleGroup};

/// All groups, in the order in which their rules are applied.
pub const GROUPS: &[RuleGroup] = &[
    RuleGroup {
        name: "algebra",
        doc: "Identities of elementwise ops and reductions.",
        phase: Phase::Recognize,
        rules: algebra::RULES,
    },
    RuleGroup { name: "movement", doc: "Identities of ops that move elements.", phase: Phase::Recognize, rules: movement::RULES },
    RuleGroup {
        name: "weights",
        doc: "Scales and shifts by constants move into weights.",
        phase: Phase::Weights,
        rules: weights::RULES,
    },
    RuleGroup {
        name: "recognize",
        doc: "Activations and averages that models spell out become one op.",
        phase: Phase::Recognize,
        rules: recognize::RULES,
    },
    RuleGroup {
        name: "layout",
        doc: "Convolutions and windows with channels innermost.",
        phase: Phase::Layout,
        rules: layout::RULES,
    },
    RuleGroup { name: "sink", doc: "Transposes move behind the ops that use them.", phase: Phase::Layout, rules: sink::RULES },
];

#[cfg(test)]
mod tests {
    use super::GROUPS;
    use crate::testing::check_rules;

    fn check(name: &str) {
        let group = GROUPS.iter().find(|group| group.name == name).expect("a group");
        check_rules(group, 17).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn algebra() {
        check("algebra");
    }

    #[test]
    fn movement() {
        check("movement");
    }

    #[test]
    fn weights() {
        check("weights");
    }

    #[test]
    fn recognize() {
        check("recognize");
    }

    #[test]
    fn layout() {
        check("layout");
    }

    #[test]
    fn sink() {
        check("sink");
    }
}
