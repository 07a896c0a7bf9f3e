//! What a model needs, for people and programs.

use crate::entry::EntryGraph;
use lostwax_ir::dim::{Symbol, UNBOUNDED};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::printable::printable_line;
use std::collections::BTreeSet;
use std::fmt;

/// Whether an operator can be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All nodes of this operator can be compiled.
    Supported,
    /// The operator is known, but some of its nodes use it in a way that is not supported.
    Partial,
    /// The operator is not known.
    Unsupported,
}

impl Status {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Supported => "supported",
            Status::Partial => "partial",
            Status::Unsupported => "unsupported",
        }
    }
}

/// One operator of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpReport {
    /// The domain of the operator; empty for the standard one.
    pub domain: String,
    /// The operator.
    pub name: String,
    /// The number of its nodes.
    pub count: usize,
    /// Whether they can be compiled.
    pub status: Status,
    /// The nodes: those with a problem if there are any, all otherwise.
    pub nodes: Vec<String>,
    /// What is wrong and the way out; empty when nothing is.
    pub hint: String,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorReport {
    /// The name.
    pub name: String,
    /// The element type.
    pub dtype: String,
    /// The sizes, in the text form of dims.
    pub dims: Vec<String>,
}

/// A named dimension of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolReport {
    /// The name.
    pub name: String,
    /// The smallest size.
    pub min: i64,
    /// The largest size; `None` when there is none.
    pub max: Option<i64>,
}

/// What a model needs, and whether it can be compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The operators, sorted by domain and name.
    pub ops: Vec<OpReport>,
    /// The inputs, in order.
    pub inputs: Vec<TensorReport>,
    /// The outputs that could be imported, in order.
    pub outputs: Vec<TensorReport>,
    /// The named dimensions of the inputs.
    pub symbols: Vec<SymbolReport>,
    /// The element types that occur, sorted.
    pub dtypes: Vec<String>,
    /// Equalities between dims that are checked at run time.
    pub constraints: Vec<String>,
}

/// Weights of one element type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightReport {
    /// The element type.
    pub dtype: String,
    /// The number of tensors.
    pub tensors: usize,
    /// The numbers that they hold.
    pub values: u64,
    /// The bytes that they take in the file.
    pub bytes: u64,
}

/// What a language model consists of, and whether it can be compiled.
#[derive(Clone, Debug, Default)]
pub struct LanguageReport {
    /// `gguf` or `hugging-face`; empty if the file cannot be read so far.
    pub format: &'static str,
    /// What the format calls the architecture.
    pub architecture: String,
    /// The family that makes graphs of it, if there is one.
    pub family: Option<&'static str>,
    /// The number of tensors.
    pub tensors: usize,
    /// The tensors by element type.
    pub weights: Vec<WeightReport>,
    /// The graphs; none if the model cannot be compiled.
    pub entries: Vec<EntryGraph>,
    /// Why it cannot be compiled, and the way out.
    pub problem: Option<String>,
}

impl CheckReport {
    /// The report on a graph, without operators.
    pub(crate) fn of_graph(graph: &Graph) -> Self {
        let dtypes: BTreeSet<String> = graph.topological().into_iter().map(|value| graph.ty(value).dtype.to_string()).collect();
        Self {
            ops: Vec::new(),
            inputs: graph.inputs().iter().map(|value| tensor(graph, graph.node(*value).attrs.text("name"), *value)).collect(),
            outputs: graph.outputs().iter().map(|output| tensor(graph, &output.name, output.value)).collect(),
            symbols: symbols(graph),
            dtypes: dtypes.into_iter().collect(),
            constraints: graph.constraints().map(|rule| format!("{} == {} ({})", rule.left, rule.right, rule.reason)).collect(),
        }
    }

    /// Whether every node can be compiled.
    pub fn is_supported(&self) -> bool {
        self.problems().next().is_none()
    }

    /// The operators with nodes that cannot be compiled.
    pub fn problems(&self) -> impl Iterator<Item = &OpReport> {
        self.ops.iter().filter(|op| op.status != Status::Supported)
    }
}

impl OpReport {
    /// The operator's name with its domain, unless that is the standard one.
    pub fn full_name(&self) -> String {
        if self.domain.is_empty() { self.name.clone() } else { format!("{}::{}", self.domain, self.name) }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: usize = self.problems().map(|op| op.nodes.len()).sum();
        write!(f, "{nodes} nodes of {} operators cannot be compiled:", self.problems().count())?;
        for op in self.problems() {
            let (name, nodes) = (op.full_name(), shorten(&op.nodes));
            let (name, hint, nodes) = (printable_line(&name), printable_line(&op.hint), printable_line(&nodes));
            write!(f, "\n  {name} ({}, {} of {} nodes): {hint}", op.status.name(), op.nodes.len(), op.count)?;
            write!(f, "\n    at {nodes}")?;
        }
        Ok(())
    }
}

fn shorten(nodes: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = nodes.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if nodes.len() > SHOWN { format!("{shown} and {} more", nodes.len() - SHOWN) } else { shown }
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
