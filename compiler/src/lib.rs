#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The lostwax compiler: optimizes the graphs of a [`lostwax_import::program::Program`] and writes artifacts.

pub mod assemble;
pub mod bisect;
pub mod error;
pub mod level;
pub mod model;
pub mod pipeline;
pub mod placement;
pub mod plan_sizes;
pub mod registry;

pub use error::CompileError;
pub use model::{CompileOptions, compile};
pub use registry::{Backend, Registry, SelectedTarget};
