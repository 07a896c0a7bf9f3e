//! The ONNX importer.
//!
//! Operators are decomposed into the tensor ops of [`lostwax_ir::ops`]: one function for each operator, listed in
//! `operators`. Arithmetic on shapes is followed while importing, so that it never becomes part of the graph: an item of the
//! model is a constant, a few known (possibly symbolic) numbers, or a tensor of the graph.

mod build;
mod context;
mod equalities;
mod external;
mod item;
mod known;
mod movement;
mod node;
mod number;
mod operators;
mod order;
mod problem;
mod symbols;
mod tally;
mod tensors;
mod wire;

#[cfg(test)]
mod tests;

use super::{CheckReport, ImportError, ImportOptions, files};
use context::Context;
use lostwax_ir::graph::Graph;
use lostwax_ir::tensor::Tensor;
use onnx_protobuf::{Message, ModelProto, TensorProto};
use problem::Problem;
use std::path::Path;
use tally::Failure;
use wire::{Message as Part, is_well_formed};

/// The largest model that is read; protobuf allows no more. Larger models keep their weights in external data.
const MAX_MODEL_BYTES: u64 = 2 << 30;

/// Reads an ONNX model from a file.
///
/// # Errors
/// [`ImportError`]; unsupported operators are reported all at once.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Graph, ImportError> {
    import_bytes(&read(path)?, path.parent(), options)
}

/// Reads an ONNX model from memory. Data that the model stores in other files is looked for in `base_dir`.
///
/// # Errors
/// [`ImportError`]; unsupported operators are reported all at once.
pub fn import_bytes(bytes: &[u8], base_dir: Option<&Path>, options: &ImportOptions) -> Result<Graph, ImportError> {
    Context::import(decode(bytes)?, base_dir, options)?.finish()
}

/// Tells what an ONNX model needs, and whether it can be compiled.
///
/// # Errors
/// [`ImportError`] when the file cannot be read at all; what is wrong with single nodes is part of the report.
pub fn check(path: &Path, options: &ImportOptions) -> Result<CheckReport, ImportError> {
    check_bytes(&read(path)?, path.parent(), options)
}

/// Tells what an ONNX model in memory needs, and whether it can be compiled; see [`check`].
///
/// # Errors
/// [`ImportError`] when the bytes are not a model at all.
pub fn check_bytes(bytes: &[u8], base_dir: Option<&Path>, options: &ImportOptions) -> Result<CheckReport, ImportError> {
    Ok(Context::import(decode(bytes)?, base_dir, options)?.report())
}

/// Reads a tensor from memory: one `TensorProto`, as ONNX stores test data.
///
/// # Errors
/// [`ImportError::Invalid`] when the bytes are no tensor of a supported type.
pub fn read_tensor(bytes: &[u8]) -> Result<Tensor, ImportError> {
    let proto = is_well_formed(bytes, Part::Tensor).then(|| TensorProto::parse_from_bytes(bytes).ok()).flatten();
    let proto = proto.ok_or_else(|| Problem::Invalid("this is not a tensor, or it is incomplete".to_string()));
    let tensor = proto.and_then(|proto| tensors::tensor(&proto, None));
    tensor.map_err(|problem| Failure { node: "tensor".to_string(), op: "file".to_string(), problem }.into())
}

/// The operators that are supported, with their domains; sorted.
pub fn operators() -> Vec<(&'static str, &'static str)> {
    let mut names: Vec<_> = operators::all().map(|(name, domain, _)| (*domain, *name)).collect();
    names.sort_unstable();
    names
}

/// Reads the file of a model.
fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    files::read(path, MAX_MODEL_BYTES)
}

fn decode(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    let model = is_well_formed(bytes, Part::Model).then(|| ModelProto::parse_from_bytes(bytes).ok()).flatten();
    model.ok_or_else(|| ImportError::Invalid {
        node: "model".to_string(),
        op: "file".to_string(),
        problem: "this is not an ONNX model, or it is incomplete".to_string(),
    })
}
