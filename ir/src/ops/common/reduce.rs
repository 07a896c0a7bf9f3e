//! Reductions.

use super::{attr, check_dtype, for_each_index, from_i128, offset, to_i128};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Axis, Body, Compute, Reduction, Step, StepId, axes};
use crate::dim::Dim;
use crate::ops::{AttrSpec, Op, TypeError, invalid};
use crate::scalar::{BinaryOp, ReduceOp};
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

/// The declaration of a list of axes.
pub(in crate::ops) const AXES: AttrSpec = attr("axes", AttrKind::Ints, "distinct axes, ascending, not negative");

/// The type in which sums of a type are formed.
pub(in crate::ops) fn accumulator(dtype: DType) -> DType {
    if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype }
}

/// Appends a conversion, unless the types are equal.
pub(in crate::ops) fn cast(body: &mut Body, from: DType, to: DType, x: StepId) -> StepId {
    if from == to { x } else { body.push(Step::Cast(to, x)) }
}

/// The epilogue that gives the result of a reduction as `output`, after `finish`.
pub(in crate::ops) fn epilogue(output: DType, finish: impl FnOnce(&mut Body, StepId) -> StepId) -> Body {
    let mut body = Body::default();
    let reduced = body.push(Step::Reduced);
    let finished = finish(&mut body, reduced);
    cast(&mut body, accumulator(output), output, finished);
    body
}

/// Appends `x / count` for a float `x`.
pub(in crate::ops) fn divide(body: &mut Body, dtype: DType, x: StepId, count: &Dim) -> StepId {
    match count.as_constant() {
        Some(count) => {
            let factor = body.float(dtype, 1.0 / count as f64);
            body.binary(BinaryOp::Mul, x, factor)
        }
        None => {
            let count = body.push(Step::Index(count.clone(), dtype));
            body.binary(BinaryOp::Div, x, count)
        }
    }
}

/// The result type of a reduction: reduced axes become 1.
pub(in crate::ops) fn infer_reduce(
    op: Op,
    operand: &TensorType,
    attrs: &Attrs,
    allowed: &[DType],
) -> Result<TensorType, TypeError> {
    check_dtype(op, operand.dtype, allowed)?;
    let axes = attrs.ints("axes");
    let sorted = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !sorted || axes.iter().any(|axis| *axis < 0 || *axis >= operand.rank() as i64) {
        return Err(invalid(op, format!("axes {axes:?} do not fit rank {}", operand.rank())));
    }
    let keep = |(axis, dim): (usize, &Dim)| if axes.contains(&(axis as i64)) { 1.into() } else { dim.clone() };
    Ok(TensorType { dtype: operand.dtype, dims: operand.dims.iter().enumerate().map(keep).collect() })
}

/// Lowers a reduction along `axes`.
pub(in crate::ops) fn lower_reduce(
    op: ReduceOp,
    operand: &TensorType,
    attrs: &Attrs,
    output: &TensorType,
    finish: impl FnOnce(&mut Body, StepId) -> StepId,
) -> Option<Compute> {
    let reduced = attrs.ints("axes");
    let outer = axes("o", &output.dims);
    let sizes: Vec<Dim> = reduced.iter().map(|axis| operand.dims[*axis as usize].clone()).collect();
    let inner = axes("r", &sizes);
    let mut coords: Vec<Dim> = outer.iter().map(Axis::dim).collect();
    for (axis, loop_axis) in reduced.iter().zip(&inner) {
        coords[*axis as usize] = loop_axis.dim();
    }
    let dtype = accumulator(operand.dtype);
    let mut value = Body::default();
    let x = value.load(0, coords);
    cast(&mut value, operand.dtype, dtype, x);
    Some(Compute {
        inputs: vec![operand.clone()],
        output: output.clone(),
        coords: outer.iter().map(Axis::dim).collect(),
        axes: outer,
        reduction: Some(Reduction { op, dtype, axes: inner, value, weight: None }),
        result: epilogue(output.dtype, finish),
    })
}

/// The number of elements that are reduced to one.
pub(in crate::ops) fn reduced_count(operand: &TensorType, attrs: &Attrs) -> Dim {
    crate::dim::product(attrs.ints("axes").iter().map(|axis| &operand.dims[*axis as usize]))
}

/// How the reference implementation reduces: a start value and a combination for f64 and for exact integers.
pub(in crate::ops) struct Fold {
    /// The start for floats.
    pub(in crate::ops) float_start: f64,
    /// The combination for floats.
    pub(in crate::ops) float: fn(f64, f64) -> f64,
    /// The start for integers.
    pub(in crate::ops) int_start: i128,
    /// The combination for integers.
    pub(in crate::ops) int: fn(i128, i128) -> i128,
}

/// Evaluates a reduction.
pub(in crate::ops) fn eval_reduce(operand: &Tensor, output: &TensorType, fold: &Fold) -> Option<Tensor> {
    let shape = output.static_shape()?;
    if operand.dtype().is_float() {
        let values = fold_values(operand.shape(), &operand.to_f64(), &shape, fold.float_start, fold.float)?;
        return Tensor::from_f64(output.dtype, &shape, &values);
    }
    let values = fold_values(operand.shape(), &to_i128(operand), &shape, fold.int_start, fold.int)?;
    from_i128(output.dtype, &shape, &values)
}

fn fold_values<T: Copy>(from: &[usize], values: &[T], to: &[usize], start: T, combine: impl Fn(T, T) -> T) -> Option<Vec<T>> {
    let mut result = vec![start; element_count(to)?];
    let mut position = 0;
    for_each_index(from, |index| {
        let cell = &mut result[offset(to, index)];
        *cell = combine(*cell, values[position]);
        position += 1;
    });
    Some(result)
}
