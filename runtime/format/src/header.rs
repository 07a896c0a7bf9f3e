//! The safetensors header: names, types, shapes and places of all tensors.

use crate::error::check_limit;
use crate::{CODE_ALIGNMENT, FormatError, MAX_HEADER_BYTES};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::ops::Range;

const LENGTH_BYTES: usize = 8;

/// A tensor in the file.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Its bytes, counted from the start of the file.
    pub(crate) range: Range<usize>,
}

/// The header with its length bytes, padded so that the data after it starts at a multiple of [`CODE_ALIGNMENT`].
pub(crate) fn write_header(tensors: Vec<(String, TensorInfo)>) -> Result<Vec<u8>, FormatError> {
    let problem = |error: &dyn std::fmt::Display| FormatError::invalid("safetensors header", error.to_string());
    let metadata = Metadata::new(None, tensors).map_err(|error| problem(&error))?;
    let text = serde_json::to_string(&metadata).map_err(|error| problem(&error))?;
    let total = (LENGTH_BYTES + text.len()).next_multiple_of(CODE_ALIGNMENT as usize);
    let mut header = ((total - LENGTH_BYTES) as u64).to_le_bytes().to_vec();
    header.extend_from_slice(text.as_bytes());
    header.resize(total, b' ');
    Ok(header)
}

/// The header's bytes, its length included, and the tensors in the order of the file.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(&[u8], Vec<Entry>), FormatError> {
    let problem = |text: &str| FormatError::invalid("safetensors header", text);
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| problem("the file has less than 8 bytes"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| problem("its length is out of range"))?;
    check_limit("safetensors header", length, MAX_HEADER_BYTES)?;
    let (text, data) = rest.split_at_checked(length).ok_or_else(|| problem("it does not fit the file"))?;
    let metadata: Metadata = serde_json::from_slice(text).map_err(|error| problem(&error.to_string()))?;
    if metadata.data_len() != data.len() {
        return Err(problem("the tensors do not fill the file"));
    }
    let start = LENGTH_BYTES + length;
    let header = bytes.get(..start).ok_or_else(|| problem("it does not fit the file"))?;
    Ok((header, entries(&metadata, start)))
}

fn entries(metadata: &Metadata, start: usize) -> Vec<Entry> {
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let (from, to) = info.data_offsets;
        Entry { name, dtype: info.dtype, shape: info.shape.clone(), range: start + from..start + to }
    });
    let mut entries: Vec<Entry> = tensors.collect();
    entries.sort_by(|a, b| (a.range.start, a.range.end, &a.name).cmp(&(b.range.start, b.range.end, &b.name)));
    entries
}
