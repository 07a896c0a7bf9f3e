#![deny(missing_docs)]
#![deny(unsafe_code)]
//! lostwax as a library: the compiler, the importers and the command line.
//!
//! One dependency for programs that compile models: it re-exports the crates of the compiler. Programs that only run artifacts
//! depend on `lostwax-runtime` instead, which links no compiler.

mod certify;
pub mod cli;
mod compare;
mod console;
mod error;
mod format;
mod formula;
mod input;
mod ir_file;
mod language;
pub mod npy;
mod output;
mod registry;
mod report;
mod settings;
mod signals;
mod source;
mod state_file;
mod stdout;
mod table;
mod temporary;
mod tensors;
mod verbs;

#[cfg(test)]
#[path = "../../../runtime/serve/tests/common/decoder.rs"]
mod fake;
#[cfg(test)]
#[path = "../tests/common/tiny.rs"]
mod tiny;
#[cfg(test)]
use fake as decoder;

pub use lostwax_compiler as compiler;
pub use lostwax_compiler::Registry;
pub use lostwax_import as import;
pub use lostwax_ir as ir;
pub use lostwax_passes as passes;
pub use lostwax_runtime as runtime;
pub use lostwax_target_api as target_api;
