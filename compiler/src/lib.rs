#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The lostwax compiler: reads models ([`import`]), optimizes them and writes artifacts.

pub mod assemble;
pub mod bisect;
pub mod error;
pub mod import;
pub mod level;
pub mod model;
pub mod models;
pub mod npy;
pub mod pipeline;
pub mod placement;
pub mod program;
pub mod serve;
pub mod targets;
