#![deny(missing_docs)]
//! A target for lostwax: kernels become C source, `cc` makes a shared object of it, and the device loads and calls that.
//!
//! The compiling half:
//! - `target`: the variants, and how the compiler is called.
//! - `kernel`: statements of kernels as statements of C.
//! - `scalar`: scalar operations as expressions of C; `prelude.h` has the functions that they call.
//! - `index`: dims and conditions as expressions of C.
//!
//! The running half:
//! - `device`: which code it takes, and loading.
//! - `executor`: working memory and the run itself.
//! - `memory`: aligned memory.
//!
//! Both know [`mod@format`], the code bytes.

mod device;
mod executor;
pub mod format;
mod index;
mod kernel;
mod memory;
mod scalar;
mod target;

pub use device::device;
pub use target::target;

/// The name of the target and of its device.
pub const NAME: &str = "c";
