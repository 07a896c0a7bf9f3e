//! Pooling.

use super::{Element, KERNEL, Window, accumulator, cast, check_dtype, epilogue, for_each_index, strides};
use crate::attrs::Attrs;
use crate::compute::{Axis, Body, Compute, Reduction, Step, StepId, axes};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::number::Number;
use crate::ops::{Op, TypeError, invalid};
use crate::scalar::ReduceOp;
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

/// The type of a pooled image.
pub(in crate::ops) fn infer_pool(op: Op, x: &TensorType, attrs: &Attrs, allowed: &[DType]) -> Result<TensorType, TypeError> {
    check_dtype(op, x.dtype, allowed)?;
    if x.rank() < 2 {
        return Err(invalid(op, format!("{x} has no batch and channels")));
    }
    let window = Window::new(attrs.ints(KERNEL.name), attrs);
    window.check(op, x.rank())?;
    let dims = window.slide(&x.dims);
    super::check_sizes(op, &dims)?;
    Ok(TensorType { dtype: x.dtype, dims })
}

/// Evaluates pooling: `pool` gets all elements and the positions of those in a window.
pub(in crate::ops) fn eval_pool<T: Element>(
    x: &Tensor,
    window: &Window,
    output: &TensorType,
    pool: impl Fn(&[T], &[usize]) -> T,
) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let (values, steps) = (T::read(x), strides(x.shape()));
    let spatial = |list: &[usize]| (0..window.count()).map(|i| list[window.axis(i)]).collect::<Vec<_>>();
    let (sizes, channel) = (spatial(x.shape()), window.channel_axis());
    let inner = if window.count() == 0 { 1 } else { steps[window.axis(window.count() - 1)] };
    let mut result = Vec::with_capacity(element_count(&shape)?);
    let mut taps = Vec::new();
    for_each_index(&shape, |index| {
        let start = index[0] * steps[0] + index[channel] * steps[channel];
        taps.clear();
        window.for_each_tap(&spatial(index), &sizes, |_, at| taps.push(start + at * inner));
        result.push(pool(&values, &taps));
    });
    T::write(output.dtype, &shape, &result)
}

/// Lowers pooling: `padding` is the value of padding; `finish` gets the spatial axes and the reduced value.
pub(in crate::ops) fn lower_pool(
    window: &Window,
    x: &TensorType,
    output: &TensorType,
    op: ReduceOp,
    padding: Number,
    finish: impl FnOnce(&mut Body, &[Dim], StepId) -> StepId,
) -> Option<Compute> {
    let outer = axes("o", &output.dims);
    let coords: Vec<Dim> = outer.iter().map(Axis::dim).collect();
    let extents: Vec<Dim> = window.kernel.iter().map(|extent| Dim::constant(*extent)).collect();
    let (inner, taps) = super::inner_axes("r", &extents);
    let all: Vec<Axis> = outer.iter().chain(&inner).cloned().collect();
    let (mut source, mut valid) = (coords.clone(), Cond::default());
    for (i, tap) in taps.iter().enumerate() {
        let axis = window.axis(i);
        source[axis] = window.position(i, &coords[axis], tap);
        valid = valid.and(window.inside(i, &source[axis], &x.dims[axis], &all));
    }
    let dtype = accumulator(output.dtype);
    let mut value = Body::default();
    let load = value.push(Step::Load { input: 0, coords: source, valid, otherwise: padding.to_bits() });
    cast(&mut value, x.dtype, dtype, load);
    let spatial: Vec<Dim> = (0..window.count()).map(|i| coords[window.axis(i)].clone()).collect();
    let result = epilogue(output.dtype, |body, reduced| finish(body, &spatial, reduced));
    Some(Compute {
        inputs: vec![x.clone()],
        output: output.clone(),
        axes: outer,
        coords,
        reduction: Some(Reduction { op, dtype, axes: inner, value, weight: None }),
        result,
    })
}
