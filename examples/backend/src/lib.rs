#![deny(missing_docs)]
//! A target for lostwax: kernels become C source, `cc` makes a shared object of it, and the device loads and calls that.
//!
//! The compiling half:
//! - `target`: the variants, and how the compiler is called.
//! - `kernel`: statements of kernels as statements of C.
//! - `writer`: what is in scope while a kernel is written.
//! - `scalar`: scalar operations as expressions of C; `prelude.h` has the functions that they call.
//! - `index`: dims and conditions as expressions of C.
//!
//! The running half:
//! - `device`: which code it takes, and loading.
//! - `program`: loaded code, and how one kernel runs.
//! - `memory`: aligned memory.
//!
//! Both know [`mod@format`], the code bytes.

mod device;
pub mod format;
mod index;
mod kernel;
mod memory;
mod program;
mod scalar;
mod target;
mod writer;

pub use device::device;
pub use format::NAME;
pub use target::target;
