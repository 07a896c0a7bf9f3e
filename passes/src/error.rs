//! What can go wrong in this crate.

use lostwax_ir::graph::TypeError;
use thiserror::Error;

/// Why a pass failed, or cannot run.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PassError {
    /// A pass built an invalid node: a defect of the pass.
    #[error("pass `{pass}` built an invalid node")]
    InvalidNode {
        /// The pass.
        pass: &'static str,
        /// What is wrong with the node.
        source: TypeError,
    },
    /// The graph is invalid after a pass: a defect of the pass.
    #[error("the graph is invalid after pass `{pass}`: {}", problems.join("; "))]
    InvalidGraph {
        /// The pass that ran last.
        pass: &'static str,
        /// All that is wrong.
        problems: Vec<String>,
    },
    /// A rewrite rule equated tensors of different types: a defect of the rule.
    #[error("rule `{rule}` is unsound: it equates {left} with {right}")]
    UnsoundRule {
        /// The rule.
        rule: String,
        /// The type of one side.
        left: String,
        /// The type of the other side.
        right: String,
    },
    /// The text of a rule cannot be read.
    #[error("rule `{rule}` cannot be read: {problem}")]
    InvalidRule {
        /// The rule.
        rule: String,
        /// What is wrong.
        problem: String,
    },
    /// A rule failed its test on random instances; see [`crate::testing`].
    #[error("rule `{rule}` fails its test: {problem}")]
    WrongRule {
        /// The rule.
        rule: String,
        /// What was found.
        problem: String,
    },
    /// No output could be built from the e-graph: a defect of the optimizer.
    #[error("internal error, please report it: an output cannot be built from the e-graph")]
    NotExtracted,
    /// A pass cannot do what the graph needs.
    #[error("pass `{pass}` does not support {what}")]
    Unsupported {
        /// The pass.
        pass: &'static str,
        /// What is not supported.
        what: String,
    },
    /// Nothing in the registry has that name.
    #[error("there is no {kind} `{name}`; {}", hint(*nearest, known))]
    UnknownName {
        /// What was looked for: `pass`, `rule or rule group` or `rule group`.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The nearest name, if one is near.
        nearest: Option<&'static str>,
        /// All names; of rules and rule groups those of the groups.
        known: Vec<&'static str>,
    },
    /// Two things of one kind in a registry have the same name.
    #[error("the registry has two entries named `{name}` ({kind}); rename one of them")]
    DuplicateName {
        /// The kind, as in [`PassError::UnknownName`].
        kind: &'static str,
        /// The name.
        name: &'static str,
    },
}

fn hint(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}
