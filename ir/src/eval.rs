//! The reference interpreters: slow and obvious, the oracle for rewrites, schedules and targets.
//!
//! - [`eval_graph`], [`eval_graph_with`] and [`eval_value`] run tensor graphs through each op's own reference implementation.
//! - [`eval_compute`] runs the definition that an op lowers to.
//! - [`eval_kernel`] runs a scheduled kernel.

mod compute;
mod graph;
mod index;
mod kernel;

pub use compute::eval_compute;
pub use graph::{ProgressFn, bind_symbols, eval_graph, eval_graph_with, eval_graph_with_progress, eval_node, eval_value};
pub use kernel::eval_kernel;

use crate::types::TensorType;
use thiserror::Error;

/// Why something cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvalError {
    /// An input of the graph was not given.
    #[error("input `{0}` is missing")]
    MissingInput(String),
    /// An input does not have the type that the graph declares.
    #[error("input `{name}` is {given}, expected {expected}")]
    WrongInput {
        /// The input.
        name: String,
        /// The type of the tensor that was given.
        given: TensorType,
        /// The declared type.
        expected: TensorType,
    },
    /// A symbol is outside of its declared range.
    #[error("`{name}` is {value}, outside of {min}..={max}")]
    OutOfRange {
        /// The symbol.
        name: String,
        /// Its value.
        value: i64,
        /// The least value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// The value of a symbol is not known.
    #[error("the value of `{0}` is not known")]
    UnknownSymbol(String),
    /// Two dims that must be equal are not.
    #[error("{left} and {right} differ: {reason}")]
    Constraint {
        /// One side.
        left: String,
        /// The other side.
        right: String,
        /// What needs them to be equal.
        reason: String,
    },
    /// An operation has no value for its operands.
    #[error("`{op}` cannot make {result}")]
    Op {
        /// The operation.
        op: &'static str,
        /// The result's type.
        result: TensorType,
    },
    /// A kernel or definition breaks the rules of its representation.
    #[error("{0}")]
    Fault(String),
}

/// An [`EvalError::Fault`].
fn fault<T>(problem: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Fault(problem.into()))
}
