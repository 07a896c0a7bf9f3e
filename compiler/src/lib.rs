#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The lostwax compiler: reads models ([`import`]), optimizes them and writes artifacts.

pub mod assemble;
pub mod error;
pub mod import;
pub mod model;
pub mod pipeline;
pub mod targets;
