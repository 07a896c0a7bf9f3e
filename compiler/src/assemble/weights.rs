//! Constants in the form in which kernels read them.

use crate::error::CompileError;
use lostwax_format::{ElementType, WeightData, Writer};
use lostwax_ir::dim::Dim;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use lostwax_passes::schedule::Packing;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

/// The weights written so far: each constant once per form, whatever entry points use it.
#[derive(Default)]
pub(super) struct Weights {
    /// Different constants by type and sizes.
    constants: HashMap<(DType, Vec<usize>), Vec<Numbered>>,
    count: usize,
    written: HashMap<Form, (i64, i64)>,
    names: BTreeMap<String, usize>,
}

/// A constant and its number.
type Numbered = (usize, Arc<Tensor>);

/// The number of a constant with the sizes of its loops and its index in them; `None` as it is.
type Form = (usize, Option<(Vec<Dim>, Dim)>);

impl Weights {
    /// Adds a constant, packed if asked for; gives offset and bytes in the weight region. Its bytes are made when the file is
    /// written.
    pub(super) fn add(
        &mut self,
        writer: &mut Writer<'_>,
        name: &str,
        tensor: &Arc<Tensor>,
        packing: Option<&Packing>,
    ) -> Result<(i64, i64), CompileError> {
        let number = self.number(tensor);
        let form = (number, packing.map(|p| (p.loops.iter().map(|axis| axis.extent.clone()).collect(), p.index.clone())));
        if let Some(known) = self.written.get(&form) {
            return Ok(*known);
        }
        let packed = packing.map(Packed::new).transpose()?;
        let shape = packed.as_ref().map_or(tensor.shape(), |packed| packed.shape.as_slice());
        let dims: Vec<u64> = shape.iter().map(|size| *size as u64).collect();
        let name = self.unique(name);
        let (dtype, contents) = (tensor.dtype().name(), Arc::clone(tensor));
        let data = WeightData::Later(Box::new(move || contents_of(&contents, packed.as_ref())));
        let offset = writer.weight(&name, dtype, &dims, data)?;
        let bytes = ElementType::from_name(dtype).and_then(|element| element.byte_count(&dims)).unwrap_or(0);
        self.written.insert(form, (offset as i64, bytes as i64));
        Ok((offset as i64, bytes as i64))
    }

    /// The number of a constant; equal ones share it.
    fn number(&mut self, tensor: &Arc<Tensor>) -> usize {
        let alike = self.constants.entry((tensor.dtype(), tensor.shape().to_vec())).or_default();
        let same = alike.iter().find(|(_, known)| Arc::ptr_eq(known, tensor));
        let equal = same.or_else(|| alike.iter().find(|(_, known)| known.bytes() == tensor.bytes()));
        if let Some((number, _)) = equal {
            return *number;
        }
        alike.push((self.count, Arc::clone(tensor)));
        self.count += 1;
        self.count - 1
    }

    fn unique(&mut self, name: &str) -> String {
        let count = self.names.entry(name.to_string()).or_insert(0);
        *count += 1;
        if *count == 1 { format!("weights/{name}") } else { format!("weights/{name}.{count}") }
    }
}

fn contents_of(tensor: &Tensor, packed: Option<&Packed>) -> io::Result<Vec<u8>> {
    let problem = || io::Error::other("internal error, please report it: a weight cannot be rearranged");
    packed.map_or_else(|| Ok(tensor.bytes().to_vec()), |packed| packed.apply(tensor).ok_or_else(problem))
}

/// How a constant is rearranged.
struct Packed {
    shape: Vec<usize>,
    index: Affine,
    valid: Affine,
}

impl Packed {
    fn new(packing: &Packing) -> Result<Self, CompileError> {
        let problem = || CompileError::Internal { problem: "a weight cannot be rearranged".to_string() };
        let size = |extent: &Dim| usize::try_from(extent.as_constant()?).ok();
        let shape: Option<Vec<usize>> = packing.loops.iter().map(|axis| size(&axis.extent)).collect();
        Ok(Self {
            shape: shape.ok_or_else(problem)?,
            index: Affine::new(&packing.index, packing).ok_or_else(problem)?,
            valid: Affine::new(&packing.valid, packing).ok_or_else(problem)?,
        })
    }

    /// The bytes of the rearranged constant.
    fn apply(&self, tensor: &Tensor) -> Option<Vec<u8>> {
        let mut result = Tensor::zeros(tensor.dtype(), &self.shape)?;
        copy(tensor.bytes(), result.bytes_mut(), tensor.dtype().size(), self)?;
        Some(result.bytes().to_vec())
    }
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
fn copy(source: &[u8], target: &mut [u8], size: usize, packed: &Packed) -> Option<()> {
    let Packed { shape, index, valid } = packed;
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
