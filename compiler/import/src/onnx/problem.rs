use lostwax_ir::graph::TypeError;
use thiserror::Error;

/// Why one node cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Problem {
    /// The form of the operator is not supported: what, and the way out.
    #[error("{0}")]
    Unsupported(String),
    /// The node breaks the operator's contract.
    #[error("{0}")]
    Invalid(String),
    /// The node asks for too much.
    #[error("{0}")]
    Limit(String),
}

impl From<TypeError> for Problem {
    fn from(error: TypeError) -> Self {
        match error {
            TypeError::Invalid { .. } => Self::Invalid(error.to_string()),
            TypeError::Unsupported { .. } => Self::Unsupported(error.to_string()),
        }
    }
}

/// The result of importing a part of a node.
pub(super) type Outcome<T> = Result<T, Problem>;

pub(super) fn unsupported<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Problem::Unsupported(what.into()))
}

pub(super) fn invalid<T>(problem: impl Into<String>) -> Outcome<T> {
    Err(Problem::Invalid(problem.into()))
}

pub(super) fn limit<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Problem::Limit(what.into()))
}
