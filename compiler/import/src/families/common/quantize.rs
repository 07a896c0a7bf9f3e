//! Conversion of weights to another type.

use crate::ImportError;
use crate::language::Conversion;
use lostwax_ir::blocks::{BLOCK_FORMATS, BlockFormat};
use lostwax_ir::suggest::question;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;

/// The types that weights can be converted to, without block formats.
const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// The type that `--quant NAME` asks for; `None` for `keep`.
///
/// # Errors
/// [`ImportError::Unsupported`] with all names that are supported.
pub fn quant_from_name(name: &str) -> Result<Option<DType>, ImportError> {
    if name == "keep" {
        return Ok(None);
    }
    let can_write = |dtype: &DType| match dtype {
        DType::Block(format) => is_writable(format),
        other => FLOATS.contains(other),
    };
    let dtype = DType::from_name(name).filter(can_write);
    let problem = || format!("known are {}{}", known().collect::<Vec<_>>().join(", "), question(name, known()));
    dtype.map(Some).ok_or_else(|| ImportError::unsupported("type of weights", name, problem()))
}

fn is_writable(format: &BlockFormat) -> bool {
    format.encode_block(&vec![0.0; format.values as usize]).is_some()
}

fn known() -> impl Iterator<Item = &'static str> {
    let blocks = BLOCK_FORMATS.iter().filter(|format| is_writable(format)).map(|format| format.name);
    let floats = FLOATS.iter().map(|dtype| dtype.name());
    ["keep"].into_iter().chain(floats).chain(blocks)
}

/// Converts a matrix; without bytes if its rows are not a whole number of blocks.
pub fn convert(
    name: &str,
    from: DType,
    to: DType,
    shape: &[usize],
    bytes: &[u8],
) -> Result<(Conversion, Option<Vec<u8>>), ImportError> {
    let report = |to: DType, error: f64| Conversion { name: name.to_string(), from, to, error };
    if !shape.last().copied().unwrap_or(0).is_multiple_of(to.values_per_unit()) {
        return Ok((report(from, 0.0), None));
    }
    let no_memory = || ImportError::limit("tensor", name, "it does not fit memory");
    let values = Tensor::from_bytes(from, shape, bytes).ok_or_else(no_memory)?.to_f64();
    let converted = Tensor::from_f64(to, shape, &values).ok_or_else(no_memory)?;
    let error = relative_error(&values, &converted.to_f64());
    Ok((report(to, error), Some(converted.bytes().to_vec())))
}

/// The norm of the difference, relative to that of `values`.
fn relative_error(values: &[f64], others: &[f64]) -> f64 {
    let difference: f64 = values.iter().zip(others).map(|(x, y)| (x - y) * (x - y)).sum();
    let total: f64 = values.iter().map(|x| x * x).sum();
    if total == 0.0 { 0.0 } else { (difference / total).sqrt() }
}
