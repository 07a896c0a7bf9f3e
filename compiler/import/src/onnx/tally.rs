//! The operators met while importing, for reports.

use super::importer::Importer;
use super::node_error::NodeError;
use crate::{CheckReport, ImportError, OpReport, Status};
use std::collections::{BTreeMap, BTreeSet};

/// A node that cannot be imported.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) node: String,
    pub(super) op: String,
    pub(super) problem: NodeError,
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        let Failure { node, op, problem } = failure;
        match problem {
            NodeError::Invalid(problem) => Self::Invalid { node, op, problem },
            NodeError::Limit(what) => Self::LimitExceeded { node, op, what },
            NodeError::Unsupported(problem) => Self::Invalid { node, op, problem },
        }
    }
}

#[derive(Debug, Default)]
struct Counted {
    known: bool,
    nodes: Vec<String>,
    failed: Vec<String>,
    hints: BTreeSet<String>,
}

/// The operators met so far, by domain and name.
#[derive(Debug, Default)]
pub(super) struct Tally {
    operators: BTreeMap<(String, String), Counted>,
    failures: Vec<Failure>,
}

impl Tally {
    /// Counts a node whose operator is in the table or not.
    pub(super) fn count(&mut self, domain: &str, op: &str, node: &str, known: bool) {
        let counted = self.operators.entry((domain.to_string(), op.to_string())).or_default();
        counted.known = known;
        counted.nodes.push(node.to_string());
    }

    /// Notes why a node cannot be imported.
    pub(super) fn fail(&mut self, domain: &str, failure: Failure) {
        let counted = self.operators.entry((domain.to_string(), failure.op.clone())).or_default();
        counted.failed.push(failure.node.clone());
        counted.hints.insert(failure.problem.to_string());
        self.failures.push(failure);
    }

    /// Whether an operator, or a form of one, is not supported.
    pub(super) fn has_unsupported(&self) -> bool {
        self.failures.iter().any(|failure| matches!(failure.problem, NodeError::Unsupported(_)))
    }

    pub(super) fn first_failure(&self) -> Option<&Failure> {
        self.failures.first()
    }

    fn ops(&self) -> Vec<OpReport> {
        let report = |((domain, name), counted): (&(String, String), &Counted)| OpReport {
            domain: domain.clone(),
            name: name.clone(),
            count: counted.nodes.len(),
            status: status(counted),
            nodes: if counted.failed.is_empty() { counted.nodes.clone() } else { counted.failed.clone() },
            hint: counted.hints.iter().map(String::as_str).collect::<Vec<_>>().join("; "),
        };
        self.operators.iter().map(report).collect()
    }
}

fn status(counted: &Counted) -> Status {
    match (counted.failed.is_empty(), counted.known) {
        (true, _) => Status::Supported,
        (false, true) => Status::Partial,
        (false, false) => Status::Unsupported,
    }
}

impl Importer<'_> {
    /// The report on what was imported.
    pub(super) fn report(&self) -> CheckReport {
        CheckReport { ops: self.tally.ops(), ..CheckReport::of_graph(&self.graph) }
    }
}
