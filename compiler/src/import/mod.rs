//! Reading models: each format has a folder. Formats of graphs make a [`lostwax_ir::graph::Graph`], those of language models
//! tell their settings and [`Weights`].

mod constant_spec;
mod error;
mod options;
mod report;
mod shape_spec;
mod weights;

pub mod gguf;
pub mod gguf_tokenizer;
pub mod onnx;
pub mod safetensors;

pub use constant_spec::{ConstantSpec, ConstantSpecError};
pub use error::ImportError;
pub use options::ImportOptions;
pub use report::{CheckReport, OpReport, Status, SymbolReport, TensorReport};
pub use shape_spec::{DimSpec, ShapeSpec, ShapeSpecError};
pub use weights::{WeightView, Weights};
