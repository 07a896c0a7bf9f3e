//! The ONNX importer.
//!
//! Operators are decomposed into the tensor ops of [`lostwax_ir::ops`]: one function for each [`Operator`]. Arithmetic on shapes is
//! followed while importing, so that it never becomes part of the graph: an [`Operand`] is a constant, a few known (possibly
//! symbolic) numbers, or a tensor of the graph.
//!
//! An operator of one's own is a function and a value:
//!
//! ```
//! use lostwax_import::onnx::{Importer, Node, Operator, Results};
//! use lostwax_ir::ops::Op;
//!
//! /// `x * sigmoid(beta * x)`
//! fn swish(importer: &mut Importer, node: &Node) -> Results {
//!     let x = node.input(0)?;
//!     let scaled = importer.with_scalar(Op::Mul, x, node.float("beta", 1.0))?;
//!     let gate = importer.unary(Op::Sigmoid, &scaled)?;
//!     Ok(vec![importer.mul(x, &gate)?])
//! }
//!
//! let mut registry = lostwax_import::Registry::default();
//! registry.operators.add(Operator::new("com.example", "Swish", swish))?;
//! assert!(registry.operators.get("com.example", "Swish").is_some());
//! # Ok::<(), lostwax_import::ImportError>(())
//! ```

mod build;
mod equalities;
mod external;
mod importer;
mod known;
mod movement;
mod node;
mod node_error;
mod number;
mod operand;
mod operator;
mod operators;
mod order;
mod symbols;
mod tally;
mod tensors;
mod wire;

#[cfg(test)]
mod tests;

pub use importer::Importer;
pub use movement::AxisSlice;
pub use node::{Node, axes, axis};
pub use node_error::{NodeError, NodeResult};
pub use operand::Operand;
pub use operator::{Operator, Operators, Results};

use super::{CheckReport, ImportError, ImportOptions, files};
use lostwax_ir::graph::Graph;
use lostwax_ir::tensor::Tensor;
use onnx_protobuf::{Message, ModelProto, TensorProto};
use std::path::Path;
use tally::Failure;
use wire::{Message as Kind, is_well_formed};

/// The largest model that is read; protobuf allows no more. Larger models keep their weights in external data.
const MAX_MODEL_BYTES: u64 = 2 << 30;

/// Reads a model from a file.
pub(crate) fn import(path: &Path, operators: &Operators, options: &ImportOptions) -> Result<Graph, ImportError> {
    import_bytes(&read(path)?, path.parent(), operators, options)
}

/// Reads a model from memory. Data that the model stores in other files is looked for in `base_dir`.
pub(crate) fn import_bytes(
    bytes: &[u8],
    base_dir: Option<&Path>,
    operators: &Operators,
    options: &ImportOptions,
) -> Result<Graph, ImportError> {
    Importer::import(decode(bytes)?, base_dir, operators, options)?.finish()
}

/// Reports what a model needs, and whether it can be compiled.
pub(crate) fn check(path: &Path, operators: &Operators, options: &ImportOptions) -> Result<CheckReport, ImportError> {
    check_bytes(&read(path)?, path.parent(), operators, options)
}

/// Reports what a model in memory needs, and whether it can be compiled.
pub(crate) fn check_bytes(
    bytes: &[u8],
    base_dir: Option<&Path>,
    operators: &Operators,
    options: &ImportOptions,
) -> Result<CheckReport, ImportError> {
    Ok(Importer::import(decode(bytes)?, base_dir, operators, options)?.report())
}

/// Reads a tensor from memory: one `TensorProto`, as ONNX stores test data.
///
/// # Errors
/// [`ImportError::Invalid`] when the bytes do not make a tensor of a supported type.
pub fn read_tensor(bytes: &[u8]) -> Result<Tensor, ImportError> {
    let proto = is_well_formed(bytes, Kind::Tensor).then(|| TensorProto::parse_from_bytes(bytes).ok()).flatten();
    let proto = proto.ok_or_else(|| NodeError::Invalid("this is not a tensor, or it is incomplete".to_string()));
    let tensor = proto.and_then(|proto| tensors::tensor(&proto, None));
    tensor.map_err(|problem| Failure { node: "tensor".to_string(), op: "file".to_string(), problem }.into())
}

/// Reads the file of a model.
fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    files::read(path, MAX_MODEL_BYTES)
}

fn decode(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    let model = is_well_formed(bytes, Kind::Model).then(|| ModelProto::parse_from_bytes(bytes).ok()).flatten();
    model.ok_or_else(|| ImportError::Invalid {
        node: "model".to_string(),
        op: "file".to_string(),
        problem: "this is not an ONNX model, or it is incomplete".to_string(),
    })
}
