//! The text form of both representations: what [`print_graph`] and [`print_kernel`] write, [`parse_graph`] and
//! [`parse_kernel`] read.
//!
//! ```text
//! symbols { h: 1..=1024, w: 1.. }
//! graph "name" {
//!   %0 = input {dims = [1, 3, h, w], dtype = f32, name = "x"} : f32[1, 3, h, w]
//!   %1 = constant [0.5] : f32[1, 1, 1, 1]
//!   %2 = mul %0, %1 : f32[1, 3, h, w]
//!   %3 = reduce_sum %2 {axes = [1]} : f32[1, 1, h, w]
//!   constraint h == w, "the image is a square"
//!   output "y" %3
//! }
//! ```
//! Values are numbered in topological order. The type of a node may be left out where its op infers it. Small constants are
//! written in place, or as `splat(1.5)`; others as `@n`, an index into a table that is kept apart from the text. `seed(7)` makes random small
//! values. Names of source nodes are not written. `//` starts a comment.
//!
//! ```text
//! kernel "scale" {
//!   symbols n: 1..
//!   item %i: 0..
//!   grid (floordiv(n + 7, 8))
//!   buffer "x": f32
//!   buffer "y": f32 writable
//!   local "sum": f32[8]
//!   rows "line": b0[2] x 64
//!   for %k: 0..=7 to (8) vector active (n - 8*%i) {
//!     v0 = load b0[8*%i + %k]
//!     v1 = mul v0, f32(0.5)
//!     store b1[8*%i + %k], v1
//!   }
//! }
//! ```

mod cursor;
mod parse;
mod print;

pub(crate) use cursor::is_symbol_name;
pub use parse::{parse_graph, parse_kernel};
pub use print::{GraphText, print_graph, print_kernel};

use thiserror::Error;

/// Why a text cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}
