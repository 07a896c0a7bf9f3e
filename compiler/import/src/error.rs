//! The errors of the importers.

use crate::file_kind::FileKind;
use crate::report::CheckReport;
use lostwax_ir::printable::printable_line;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a model cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is something else than a model.
    #[error("{} is {what}, not a model; {UNDERSTOOD}", path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The model breaks the rules of its format.
    #[error("invalid model: {} `{}`: {}", printable_line(op), printable_line(node), printable_line(problem))]
    Invalid {
        /// The name of the node, or of the part of the file.
        node: String,
        /// The operator, or the kind of the part.
        op: String,
        /// The broken rule.
        problem: String,
    },
    /// The model is valid but larger than what is accepted.
    #[error("{} `{}` exceeds a limit: {}", printable_line(op), printable_line(node), printable_line(what))]
    LimitExceeded {
        /// The name of the node, or of the part of the file.
        node: String,
        /// The operator, or the kind of the part.
        op: String,
        /// The limit.
        what: String,
    },
    /// A part of the model is valid but has a form that is not supported.
    #[error("unsupported model: {} `{}`: {}", printable_line(op), printable_line(node), printable_line(what))]
    Unsupported {
        /// The name of the part.
        node: String,
        /// The kind of the part.
        op: String,
        /// The form, and the way out.
        what: String,
    },
    /// An ONNX operator is registered twice.
    #[error("there is already an ONNX operator `{operator}`; choose another domain or name")]
    DuplicateOperator {
        /// The name with its domain.
        operator: String,
    },
    /// Two families of language models claim one architecture.
    #[error("the architecture `{architecture}` belongs to the family `{first}` already; `{second}` cannot claim it too")]
    DuplicateArchitecture {
        /// What files call the architecture.
        architecture: String,
        /// The family that has it.
        first: &'static str,
        /// The family that was added.
        second: &'static str,
    },
    /// Something works with one graph only.
    #[error("this works with models that have one entry point; this one has {}", list(names))]
    EntryPoints {
        /// All entry points.
        names: Vec<String>,
    },
    /// The model uses operators, or forms of operators, that are not supported. The report names all of them.
    #[error("{0}")]
    UnsupportedOperators(Box<CheckReport>),
}

/// What can be read.
const UNDERSTOOD: &str = "models are ONNX files, GGUF files, Hugging Face folders and graphs as text (`lostwax opt`)";

impl ImportError {
    /// The error for a file that is something else than a model.
    pub fn not_a_model(path: &Path, kind: FileKind) -> Self {
        Self::NotAModel { path: path.to_path_buf(), what: kind.description() }
    }

    /// [`ImportError::Invalid`]; `op` is a kind of part, `node` its name.
    pub fn invalid(op: &str, node: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { node: node.to_string(), op: op.to_string(), problem: problem.into() }
    }

    /// [`ImportError::Unsupported`]; `op` is a kind of part, `node` its name.
    pub fn unsupported(op: &str, node: &str, what: impl Into<String>) -> Self {
        Self::Unsupported { node: node.to_string(), op: op.to_string(), what: what.into() }
    }

    /// [`ImportError::LimitExceeded`]; `op` is a kind of part, `node` its name.
    pub fn limit(op: &str, node: &str, what: impl Into<String>) -> Self {
        Self::LimitExceeded { node: node.to_string(), op: op.to_string(), what: what.into() }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}
