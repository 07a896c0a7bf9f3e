#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! lostwax intermediate representations.
pub mod dim;
pub mod kernel;
pub mod scalar;
pub mod types;
