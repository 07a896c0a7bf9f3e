use super::report::CheckReport;
use std::path::PathBuf;
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
    /// The model breaks the rules of its format.
    #[error("invalid model: {op} `{node}`: {problem}")]
    Invalid {
        /// The name of the node, or of the part of the file.
        node: String,
        /// The operator, or the kind of the part.
        op: String,
        /// The broken rule.
        problem: String,
    },
    /// The model is valid but larger than what is accepted.
    #[error("{op} `{node}` exceeds a limit: {what}")]
    LimitExceeded {
        /// The name of the node, or of the part of the file.
        node: String,
        /// The operator, or the kind of the part.
        op: String,
        /// The limit.
        what: String,
    },
    /// The model uses operators, or forms of operators, that are not supported. The report names all of them.
    #[error("{0}")]
    Unsupported(Box<CheckReport>),
}
