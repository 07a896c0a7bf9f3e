//! Constants in the form in which kernels read them.

use crate::error::CompileError;
use lostwax_format::{WeightData, Writer};
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::Value;
use lostwax_ir::tensor::Tensor;
use lostwax_passes::schedule::Packing;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The weights written so far: each constant once per form.
#[derive(Default)]
pub(super) struct Weights {
    written: HashMap<Form, (i64, i64)>,
    names: BTreeMap<String, usize>,
}

/// A constant with the sizes of its loops and its index in them; `None` as it is.
type Form = (Value, Option<(Vec<Dim>, Dim)>);

impl Weights {
    /// Adds a constant, packed if asked for; gives offset and bytes in the weight region.
    pub(super) fn add(
        &mut self,
        writer: &mut Writer<'_>,
        name: &str,
        value: Value,
        tensor: &Tensor,
        packing: Option<&Packing>,
    ) -> Result<(i64, i64), CompileError> {
        let form = (value, packing.map(|p| (p.loops.iter().map(|axis| axis.extent.clone()).collect(), p.index.clone())));
        if let Some(known) = self.written.get(&form) {
            return Ok(*known);
        }
        let packed = packing.map(|packing| pack(tensor, packing)).transpose()?;
        let tensor = packed.as_ref().unwrap_or(tensor);
        let dims: Vec<u64> = tensor.shape().iter().map(|size| *size as u64).collect();
        let bytes = tensor.bytes().to_vec();
        let count = bytes.len() as i64;
        let name = self.unique(name);
        let offset = writer.weight(&name, tensor.dtype().name(), &dims, WeightData::Bytes(Cow::Owned(bytes)))?;
        self.written.insert(form, (offset as i64, count));
        Ok((offset as i64, count))
    }

    fn unique(&mut self, name: &str) -> String {
        let count = self.names.entry(name.to_string()).or_insert(0);
        *count += 1;
        if *count == 1 { format!("weights/{name}") } else { format!("weights/{name}.{count}") }
    }
}

/// Rearranges a constant.
fn pack(tensor: &Tensor, packing: &Packing) -> Result<Tensor, CompileError> {
    let problem = || CompileError::Internal { problem: "a weight cannot be rearranged".to_string() };
    let shape: Option<Vec<usize>> =
        packing.loops.iter().map(|axis| axis.extent.as_constant().and_then(|size| usize::try_from(size).ok())).collect();
    let shape = shape.ok_or_else(problem)?;
    let mut result = Tensor::zeros(tensor.dtype(), &shape).ok_or_else(problem)?;
    let index = Affine::new(&packing.index, packing).ok_or_else(problem)?;
    let valid = Affine::new(&packing.valid, packing).ok_or_else(problem)?;
    let size = tensor.dtype().size();
    let (source, target) = (tensor.bytes(), result.bytes_mut());
    copy(source, target, size, &shape, &index, &valid).ok_or_else(problem)?;
    Ok(result)
}

/// An affine function of loop counters.
struct Affine {
    base: i64,
    strides: Vec<i64>,
}

impl Affine {
    fn new(dim: &Dim, packing: &Packing) -> Option<Self> {
        let mut rest = dim.clone();
        let mut strides = Vec::new();
        for axis in &packing.loops {
            let (stride, remainder) = rest.affine_in(&axis.symbol)?;
            strides.push(stride.as_constant()?);
            rest = remainder;
        }
        Some(Self { base: rest.as_constant()?, strides })
    }
}

/// Fills `target` in row-major order; elements whose `valid` is negative stay as they are.
fn copy(source: &[u8], target: &mut [u8], size: usize, shape: &[usize], index: &Affine, valid: &Affine) -> Option<()> {
    let mut counters = vec![0usize; shape.len()];
    let (mut at, mut exists) = (index.base, valid.base);
    for element in target.chunks_exact_mut(size) {
        if exists >= 0 {
            let start = usize::try_from(at).ok()?.checked_mul(size)?;
            element.copy_from_slice(source.get(start..start + size)?);
        }
        for axis in (0..shape.len()).rev() {
            counters[axis] += 1;
            at += index.strides[axis];
            exists += valid.strides[axis];
            if counters[axis] < shape[axis] {
                break;
            }
            at -= index.strides[axis] * shape[axis] as i64;
            exists -= valid.strides[axis] * shape[axis] as i64;
            counters[axis] = 0;
        }
    }
    Some(())
}
