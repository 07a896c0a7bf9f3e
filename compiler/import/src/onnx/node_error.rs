//! Why nodes cannot be imported.

use lostwax_ir::graph::TypeError;
use thiserror::Error;

/// Why one node cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NodeError {
    /// This use of the operator is not supported: what, and the way out.
    #[error("{0}")]
    Unsupported(String),
    /// The node breaks a rule of the operator.
    #[error("{0}")]
    Invalid(String),
    /// The node asks for too much.
    #[error("{0}")]
    Limit(String),
}

impl From<TypeError> for NodeError {
    fn from(error: TypeError) -> Self {
        match error {
            TypeError::Invalid { .. } => Self::Invalid(error.to_string()),
            TypeError::Unsupported { .. } => Self::Unsupported(error.to_string()),
        }
    }
}

/// A result, or why the node cannot be imported.
pub type NodeResult<T> = Result<T, NodeError>;

pub(super) fn unsupported<T>(what: impl Into<String>) -> NodeResult<T> {
    Err(NodeError::Unsupported(what.into()))
}

pub(super) fn invalid<T>(problem: impl Into<String>) -> NodeResult<T> {
    Err(NodeError::Invalid(problem.into()))
}

pub(super) fn limit<T>(what: impl Into<String>) -> NodeResult<T> {
    Err(NodeError::Limit(what.into()))
}
