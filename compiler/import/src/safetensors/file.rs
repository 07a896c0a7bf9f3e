//! One safetensors file.

use crate::weights::{Entry, Weights};
use crate::{ImportError, files, weights};
use ::safetensors::SafeTensors;
use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
use indexmap::IndexMap;
use lostwax_ir::types::DType;
use std::path::Path;

/// Bytes of the length in front of the header.
const LENGTH_BYTES: usize = 8;

const TYPES: &[(Dtype, DType)] = &[
    (Dtype::F32, DType::F32),
    (Dtype::F16, DType::F16),
    (Dtype::BF16, DType::BF16),
    (Dtype::F64, DType::F64),
    (Dtype::I8, DType::I8),
    (Dtype::I16, DType::I16),
    (Dtype::I32, DType::I32),
    (Dtype::I64, DType::I64),
    (Dtype::U8, DType::U8),
    (Dtype::U16, DType::U16),
    (Dtype::U32, DType::U32),
    (Dtype::U64, DType::U64),
    (Dtype::BOOL, DType::Bool),
];

/// Maps a file and adds its tensors in the order of their data.
pub(super) fn add(weights: &mut Weights, path: &Path) -> Result<(), ImportError> {
    let file = files::map(path)?;
    let invalid = |problem: String| ImportError::invalid("file", &path.display().to_string(), problem);
    let header = SafeTensors::read_metadata(file.as_ref());
    let (length, metadata) = header.map_err(|error| invalid(format!("not a whole safetensors file: {error}")))?;
    let entries = entries(&metadata, LENGTH_BYTES + length, path)?;
    weights.add(file, entries).map_err(|name| invalid(format!("tensor `{name}` is in another file too")))
}

fn entries(metadata: &Metadata, start: usize, path: &Path) -> Result<IndexMap<String, Entry>, ImportError> {
    let mut tensors: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    tensors.sort_by(|(a, x), (b, y)| (x.data_offsets, a).cmp(&(y.data_offsets, b)));
    let entries = tensors.into_iter().map(|(name, info)| {
        let entry = entry(&name, info, start, path)?;
        Ok((name, entry))
    });
    entries.collect()
}

fn entry(name: &str, info: &TensorInfo, start: usize, path: &Path) -> Result<Entry, ImportError> {
    let file = path.display().to_string();
    let dtype = TYPES.iter().find(|(stored, _)| *stored == info.dtype).map(|(_, dtype)| *dtype);
    let unsupported = || format!("tensor `{name}` has element type {:?}; convert the model to F32, F16 or BF16", info.dtype);
    let dtype = dtype.ok_or_else(|| ImportError::unsupported("file", &file, unsupported()))?;
    let (from, to) = info.data_offsets;
    let range = start.checked_add(from).zip(start.checked_add(to)).map(|(from, to)| from..to);
    let range = range.filter(|range| weights::byte_count(dtype, &info.shape) == Some(range.len()));
    let range = range.ok_or_else(|| ImportError::invalid("file", &file, format!("tensor `{name}` lies outside of it")))?;
    Ok(Entry { dtype, shape: info.shape.clone(), range })
}
