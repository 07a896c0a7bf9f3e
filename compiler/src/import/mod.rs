//! Reading models: each format has a folder, all make a [`lostwax_ir::graph::Graph`].

mod error;
mod options;
mod report;
mod shape_spec;

pub mod gguf_tokenizer;
pub mod onnx;

pub use error::ImportError;
pub use options::ImportOptions;
pub use report::{CheckReport, OpReport, Status, SymbolReport, TensorReport};
pub use shape_spec::{DimSpec, ShapeSpec, ShapeSpecError};
