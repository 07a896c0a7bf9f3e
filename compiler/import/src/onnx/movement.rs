//! Building blocks that move elements; cheap ones are done at once on constants.

use super::importer::Importer;
use super::known::{self, Known};
use super::node_error::{NodeResult, invalid};
use super::number::{Number, is_at_most};
use super::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;

const MAX_FOLDED_BYTES: usize = 64 << 20;

fn sizes(dims: &[Dim]) -> Option<Vec<usize>> {
    dims.iter().map(|dim| dim.as_constant().and_then(|size| usize::try_from(size).ok())).collect()
}

impl Importer<'_> {
    /// The same elements under another shape.
    pub fn reshape(&mut self, x: &Operand, dims: &[Dim]) -> NodeResult<Operand> {
        if self.dims(x) == dims {
            return Ok(x.clone());
        }
        if let Some(shape) = sizes(dims) {
            if x.is_computed()
                && let Some(known) = x.known().and_then(|known| known.reshaped(shape.clone()))
            {
                return Ok(known.into());
            }
            if let Some(tensor) = x.as_constant().filter(|tensor| tensor.bytes().len() <= MAX_FOLDED_BYTES) {
                self.reserve(tensor.bytes().len())?;
                return match Tensor::clone(tensor).reshaped(&shape) {
                    Some(tensor) => Ok(tensor.into()),
                    None => invalid(format!("a tensor of the shape {:?} cannot become {shape:?}", tensor.shape())),
                };
            }
        }
        self.op(Op::Reshape, Attrs::new().with("dims", dims), &[x])
    }

    /// Permutes axes: axis `i` of the result is axis `perm[i]` of the operand.
    pub fn transpose(&mut self, x: &Operand, perm: &[usize]) -> NodeResult<Operand> {
        if perm.iter().enumerate().all(|(i, axis)| i == *axis) {
            return Ok(x.clone());
        }
        let dims = self.dims(x);
        let moved = dims.iter().enumerate().filter(|(_, dim)| !dim.is(1)).map(|(axis, _)| perm.iter().position(|p| *p == axis));
        if moved.collect::<Vec<_>>().is_sorted() {
            let dims: Vec<Dim> = perm.iter().filter_map(|axis| dims.get(*axis).cloned()).collect();
            return self.reshape(x, &dims);
        }
        if let Some(tensor) = x.as_constant().filter(|tensor| tensor.len() <= known::MAX_ELEMENTS)
            && let Some(transposed) = transpose_constant(tensor, perm)
        {
            return Ok(transposed.into());
        }
        let perm: Vec<i64> = perm.iter().map(|axis| *axis as i64).collect();
        self.op(Op::Transpose, Attrs::new().with("perm", perm), &[x])
    }

    /// Swaps the last two axes.
    pub fn transpose_last(&mut self, x: &Operand) -> NodeResult<Operand> {
        let rank = self.rank(x);
        let mut perm: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            perm.swap(rank - 2, rank - 1);
        }
        self.transpose(x, &perm)
    }

    /// Converts elements.
    pub fn cast(&mut self, x: &Operand, dtype: DType) -> NodeResult<Operand> {
        if self.dtype(x) == dtype {
            return Ok(x.clone());
        }
        if (x.is_computed() || !self.dtype(x).is_float())
            && let Some(known) = x.known().and_then(|known| known.cast(dtype))
        {
            return Ok(known.into());
        }
        if let Some(tensor) = x.as_constant().filter(|tensor| tensor.bytes().len() <= MAX_FOLDED_BYTES)
            && let Some(cast) = cast_constant(tensor, dtype)
        {
            self.reserve(cast.bytes().len())?;
            return Ok(cast.into());
        }
        self.op(Op::Cast, Attrs::new().with("dtype", dtype), &[x])
    }

    /// Repeats elements along axes of size 1, to a shape of the same rank.
    pub fn broadcast(&mut self, x: &Operand, dims: &[Dim]) -> NodeResult<Operand> {
        if self.dims(x) == dims {
            return Ok(x.clone());
        }
        if let (Some(known), Some(shape)) = (x.known(), sizes(dims))
            && let Some(wide) = known.broadcast(&shape)
        {
            return Ok(wide.into());
        }
        self.op(Op::Broadcast, Attrs::new().with("dims", dims), &[x])
    }

    /// Takes some positions of each axis.
    pub fn slice(&mut self, x: &Operand, ranges: &[AxisSlice]) -> NodeResult<Operand> {
        let dims = self.dims(x);
        if ranges.iter().zip(&dims).all(|(range, dim)| range.start.is(0) && range.size == *dim && range.step == 1) {
            return Ok(x.clone());
        }
        if let Some(known) = x.known().and_then(|known| slice_known(&known, ranges)) {
            return Ok(known.into());
        }
        let starts: Vec<Dim> = ranges.iter().map(|range| range.start.clone()).collect();
        let sizes: Vec<Dim> = ranges.iter().map(|range| range.size.clone()).collect();
        let steps: Vec<i64> = ranges.iter().map(|range| range.step).collect();
        self.op(Op::Slice, Attrs::new().with("starts", starts).with("sizes", sizes).with("steps", steps), &[x])
    }

    /// Takes some positions of one axis.
    pub fn slice_axis(&mut self, x: &Operand, axis: usize, range: AxisSlice) -> NodeResult<Operand> {
        let mut ranges: Vec<AxisSlice> = self.dims(x).iter().map(AxisSlice::all).collect();
        if let Some(slot) = ranges.get_mut(axis) {
            *slot = range;
        }
        self.slice(x, &ranges)
    }

    /// What lies at one position of an axis, without that axis.
    pub fn take(&mut self, x: &Operand, axis: usize, position: i64) -> NodeResult<Operand> {
        let mut dims = self.dims(x);
        let fits = dims.get(axis).is_some_and(|size| size.prove_le(&position.into()) != Some(true));
        if !fits {
            return invalid(format!("{} has no position {position} along axis {axis}", self.ty(x)));
        }
        let part = self.slice_axis(x, axis, AxisSlice::new(position, 1))?;
        dims.remove(axis);
        self.reshape(&part, &dims)
    }

    /// Puts tensors of one type side by side along a new axis.
    pub fn stack(&mut self, parts: &[Operand], axis: usize) -> NodeResult<Operand> {
        let mut wide = Vec::new();
        for part in parts {
            let mut dims = self.dims(part);
            dims.insert(axis, 1.into());
            wide.push(self.reshape(part, &dims)?);
        }
        self.concat(&wide, axis)
    }

    /// Puts tensors side by side along an axis; their other dims must be equal.
    pub fn concat(&mut self, parts: &[Operand], axis: usize) -> NodeResult<Operand> {
        if let [only] = parts {
            return Ok(only.clone());
        }
        let known: Option<Vec<Known>> = parts.iter().map(Operand::known).collect();
        if let Some(joined) = known.and_then(|parts| Known::concat(&parts, axis)) {
            return Ok(joined.into());
        }
        let shapes: Vec<Vec<Dim>> = parts.iter().map(|part| self.dims(part)).collect();
        let Some(mut common) = shapes.first().cloned() else { return invalid("nothing to concatenate") };
        if shapes.iter().any(|dims| dims.len() != common.len()) || axis >= common.len() {
            return invalid(format!("the ranks of {shapes:?} differ, or have no axis {axis}"));
        }
        for dims in &shapes {
            for i in (0..common.len()).filter(|i| *i != axis) {
                common[i] = self.unify(&common[i], &dims[i], "tensors that are put side by side")?;
            }
        }
        let mut aligned = Vec::new();
        for (part, dims) in parts.iter().zip(&shapes) {
            common[axis] = dims[axis].clone();
            aligned.push(self.reshape(part, &common)?);
        }
        self.op(Op::Concat, Attrs::new().with("axis", axis as i64), &aligned.iter().collect::<Vec<_>>())
    }

    /// Surrounds a tensor with a value.
    pub fn pad(&mut self, x: &Operand, before: Vec<Dim>, after: Vec<Dim>, mode: &str, value: f64) -> NodeResult<Operand> {
        if before.iter().chain(&after).all(|dim| dim.is(0)) {
            return Ok(x.clone());
        }
        let attrs = Attrs::new().with("before", before).with("after", after).with("mode", mode).with("value", value);
        self.op(Op::Pad, attrs, &[x])
    }

    /// The coordinate along one axis.
    pub fn iota(&mut self, dtype: DType, dims: &[Dim], axis: usize) -> NodeResult<Operand> {
        self.op(Op::Iota, Attrs::new().with("axis", axis as i64).with("dtype", dtype).with("dims", dims), &[])
    }

    /// A tensor of equal elements whose shape may be symbolic.
    pub fn full(&mut self, dtype: DType, dims: &[Dim], value: f64) -> NodeResult<Operand> {
        self.op(Op::Full, Attrs::new().with("value", value).with("dtype", dtype).with("dims", dims), &[])
    }

    /// Merges all axes of `from..to` into one.
    pub fn merge_axes(&mut self, x: &Operand, from: usize, to: usize) -> NodeResult<Operand> {
        let dims = self.dims(x);
        let mut merged = dims[..from].to_vec();
        merged.push(product(&dims[from..to]));
        merged.extend_from_slice(&dims[to..]);
        self.reshape(x, &merged)
    }
}

/// Some positions of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisSlice {
    /// The first position.
    pub start: Dim,
    /// The number of positions.
    pub size: Dim,
    /// The distance between positions; negative to go backwards.
    pub step: i64,
}

impl AxisSlice {
    /// A whole axis of that size.
    pub fn all(dim: &Dim) -> Self {
        Self { start: 0.into(), size: dim.clone(), step: 1 }
    }

    /// `size` neighbours from `start` on.
    pub fn new(start: impl Into<Dim>, size: impl Into<Dim>) -> Self {
        Self { start: start.into(), size: size.into(), step: 1 }
    }
}

/// The smaller one of two dims, if it can be told, or their minimum.
pub(super) fn smaller(a: &Dim, b: &Dim) -> Dim {
    if is_at_most(a, b) {
        a.clone()
    } else if is_at_most(b, a) {
        b.clone()
    } else {
        a.minimum(b)
    }
}

fn slice_known(known: &Known, ranges: &[AxisSlice]) -> Option<Known> {
    let shape: Option<Vec<usize>> = ranges.iter().map(|range| usize::try_from(range.size.as_constant()?).ok()).collect();
    let starts: Option<Vec<i64>> = ranges.iter().map(|range| range.start.as_constant()).collect();
    let starts = starts?;
    known.pick(shape?, |index| {
        let positions = index.iter().zip(&starts).zip(ranges);
        positions.map(|((i, start), range)| usize::try_from(start + *i as i64 * range.step).ok()).collect()
    })
}

fn transpose_constant(tensor: &Tensor, perm: &[usize]) -> Option<Tensor> {
    let shape: Option<Vec<usize>> = perm.iter().map(|axis| tensor.shape().get(*axis).copied()).collect();
    let positions = Known::new(DType::I64, tensor.shape().to_vec(), (0..tensor.len() as i64).map(Number::from).collect())?;
    let order = positions.pick(shape.clone()?, |index| {
        let mut source = vec![0; index.len()];
        for (axis, i) in perm.iter().zip(index) {
            *source.get_mut(*axis)? = *i;
        }
        Some(source)
    })?;
    let size = tensor.dtype().size();
    let order = order.integers()?;
    let bytes: Vec<u8> = order.iter().flat_map(|p| &tensor.bytes()[*p as usize * size..][..size]).copied().collect();
    Tensor::from_bytes(tensor.dtype(), &shape?, &bytes)
}

fn cast_constant(tensor: &Tensor, dtype: DType) -> Option<Tensor> {
    if dtype == DType::Bool {
        let values: Vec<i64> = tensor.to_f64().iter().map(|value| i64::from(*value != 0.0)).collect();
        return Tensor::from_i64(dtype, tensor.shape(), &values);
    }
    if tensor.dtype().is_float() || dtype.is_float() {
        return Tensor::from_f64(dtype, tensor.shape(), &tensor.to_f64());
    }
    Tensor::from_i64(dtype, tensor.shape(), &tensor.to_i64())
}
