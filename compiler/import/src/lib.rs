#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! Reads models. Each format has a folder: ONNX files hold graphs; GGUF files and Hugging Face folders hold weights and settings, of
//! which [`families`] make graphs. A [`Registry`] knows the operators and families, and gives a [`Program`].

mod constant_spec;
mod entry;
mod error;
mod file_kind;
mod files;
mod language;
mod options;
pub mod program;
mod registry;
mod report;
mod shape_spec;
mod weights;

pub mod families;
pub mod gguf;
pub mod onnx;
pub mod safetensors;

pub use constant_spec::{ConstantSpec, ConstantSpecError};
pub use error::ImportError;
pub use file_kind::FileKind;
pub use files::file_kind;
pub use options::{ACTIVATION_TYPES, CACHE_TYPES, ImportOptions, LanguageOptions, MAX_SLOTS};
pub use program::Program;
pub use registry::Registry;
pub use report::{CheckReport, LanguageReport, OpReport, Status, SymbolReport, TensorReport, WeightReport};
pub use shape_spec::{DimSpec, ShapeSpec, ShapeSpecError};
pub use weights::{WeightView, Weights};
