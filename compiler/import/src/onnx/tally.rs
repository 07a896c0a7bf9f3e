//! What was met while importing, for reports.

use super::context::Context;
use super::problem::Problem;
use crate::{CheckReport, ImportError, OpReport, Status, SymbolReport, TensorReport};
use lostwax_ir::dim::{Symbol, UNBOUNDED};
use lostwax_ir::graph::{Graph, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A node that cannot be imported.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) node: String,
    pub(super) op: String,
    pub(super) problem: Problem,
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        let Failure { node, op, problem } = failure;
        match problem {
            Problem::Invalid(problem) => Self::Invalid { node, op, problem },
            Problem::Limit(what) => Self::LimitExceeded { node, op, what },
            Problem::Unsupported(problem) => Self::Invalid { node, op, problem },
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    known: bool,
    nodes: Vec<String>,
    failed: Vec<String>,
    hints: BTreeSet<String>,
}

/// The operators met so far, by domain and name.
#[derive(Debug, Default)]
pub(super) struct Tally {
    entries: BTreeMap<(String, String), Entry>,
    failures: Vec<Failure>,
}

impl Tally {
    /// Counts a node whose operator is in the table or not.
    pub(super) fn count(&mut self, domain: &str, op: &str, node: &str, known: bool) {
        let entry = self.entries.entry((domain.to_string(), op.to_string())).or_default();
        entry.known = known;
        entry.nodes.push(node.to_string());
    }

    /// Notes why a node cannot be imported.
    pub(super) fn fail(&mut self, domain: &str, failure: Failure) {
        let entry = self.entries.entry((domain.to_string(), failure.op.clone())).or_default();
        entry.failed.push(failure.node.clone());
        entry.hints.insert(failure.problem.to_string());
        self.failures.push(failure);
    }

    /// Whether an operator, or a form of one, is not supported.
    pub(super) fn has_unsupported(&self) -> bool {
        self.failures.iter().any(|failure| matches!(failure.problem, Problem::Unsupported(_)))
    }

    pub(super) fn first_failure(&self) -> Option<&Failure> {
        self.failures.first()
    }

    fn ops(&self) -> Vec<OpReport> {
        let report = |((domain, name), entry): (&(String, String), &Entry)| OpReport {
            domain: domain.clone(),
            name: name.clone(),
            count: entry.nodes.len(),
            status: status(entry),
            nodes: if entry.failed.is_empty() { entry.nodes.clone() } else { entry.failed.clone() },
            hint: entry.hints.iter().map(String::as_str).collect::<Vec<_>>().join("; "),
        };
        self.entries.iter().map(report).collect()
    }
}

fn status(entry: &Entry) -> Status {
    match (entry.failed.is_empty(), entry.known) {
        (true, _) => Status::Supported,
        (false, true) => Status::Partial,
        (false, false) => Status::Unsupported,
    }
}

impl Context<'_> {
    /// The report on what was imported.
    pub(super) fn report(&self) -> CheckReport {
        let graph = &self.graph;
        let dtypes: BTreeSet<String> = graph.topological().into_iter().map(|value| graph.ty(value).dtype.to_string()).collect();
        CheckReport {
            ops: self.tally.ops(),
            inputs: graph.inputs().iter().map(|value| tensor(graph, graph.node(*value).attrs.text("name"), *value)).collect(),
            outputs: graph.outputs().iter().map(|output| tensor(graph, &output.name, output.value)).collect(),
            symbols: symbols(graph),
            dtypes: dtypes.into_iter().collect(),
            constraints: graph.constraints().map(|rule| format!("{} == {} ({})", rule.left, rule.right, rule.reason)).collect(),
        }
    }
}

fn tensor(graph: &Graph, name: &str, value: Value) -> TensorReport {
    let ty = graph.ty(value);
    let dims = ty.dims.iter().map(|dim| dim.to_string()).collect();
    TensorReport { name: name.to_string(), dtype: ty.dtype.to_string(), dims }
}

fn symbols(graph: &Graph) -> Vec<SymbolReport> {
    let report = |(name, symbol): (String, Symbol)| SymbolReport {
        name,
        min: Symbol::min(&symbol),
        max: Some(Symbol::max(&symbol)).filter(|max| *max < UNBOUNDED),
    };
    graph.symbols().into_iter().map(report).collect()
}
