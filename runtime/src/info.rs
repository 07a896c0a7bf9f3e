//! The inputs and outputs of a model, for people and tools.

use crate::expr::describe;
use lostwax_format::{EntryPoint, Plan, TensorSpec};

/// Name and type of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name.
    pub name: String,
    /// The element type.
    pub dtype: String,
    /// The sizes as text, such as `32*h`, outermost first.
    pub dims: Vec<String>,
}

/// A named integer that sizes depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolInfo {
    /// The name.
    pub name: String,
    /// The smallest value, inclusive.
    pub min: i64,
    /// The largest value, inclusive.
    pub max: i64,
}

/// A function of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPointInfo {
    /// The name.
    pub name: String,
    /// What it takes.
    pub inputs: Vec<TensorInfo>,
    /// What it gives.
    pub outputs: Vec<TensorInfo>,
    /// Bytes of working memory as a formula in the symbols.
    pub arena_bytes: String,
    /// The number of kernel runs.
    pub steps: usize,
}

pub(crate) fn tensor_info(plan: &Plan, spec: &TensorSpec) -> TensorInfo {
    let dims = spec.dims.iter().map(|dim| describe(plan, *dim)).collect();
    TensorInfo { name: spec.name.clone(), dtype: spec.dtype.clone(), dims }
}

pub(crate) fn entry_point_info(plan: &Plan, entry: &EntryPoint) -> EntryPointInfo {
    let tensors = |specs: &[TensorSpec]| specs.iter().map(|spec| tensor_info(plan, spec)).collect();
    EntryPointInfo {
        name: entry.name.clone(),
        inputs: tensors(&entry.inputs),
        outputs: tensors(&entry.outputs),
        arena_bytes: describe(plan, entry.arena_bytes),
        steps: entry.step_count as usize,
    }
}
