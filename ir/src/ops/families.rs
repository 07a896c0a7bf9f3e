//! Definitions shared by families of ops: what all elementwise or reducing ops have in common.

use super::{AttrSpec, Op, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Body, Compute, Reduction, StepId, axes, broadcast_coords};
use crate::dim::Dim;
use crate::graph::TypeError;
use crate::scalar::{BinaryOp, ReduceOp, UnaryOp};
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

/// The declaration of a list of axes.
pub(super) const AXES: AttrSpec = AttrSpec { name: "axes", kind: AttrKind::Ints, doc: "distinct axes, ascending, not negative" };

/// The broadcast dims of elementwise operands: equal ranks; each dim equal, or 1.
pub(super) fn broadcast(op: Op, operands: &[&TensorType]) -> Result<Vec<Dim>, TypeError> {
    let rank = operands.iter().map(|ty| ty.rank()).max().unwrap_or(0);
    if operands.iter().any(|ty| ty.rank() != rank) {
        return Err(invalid(op, "operands must have the same rank"));
    }
    (0..rank)
        .map(|axis| {
            let wide: Vec<&Dim> = operands.iter().map(|ty| &ty.dims[axis]).filter(|dim| !dim.is(1)).collect();
            match wide.split_first() {
                None => Ok(1.into()),
                Some((first, rest)) if rest.iter().all(|dim| dim == first) => Ok((*first).clone()),
                Some(_) => Err(invalid(op, format!("sizes {wide:?} of axis {axis} differ"))),
            }
        })
        .collect()
}

/// The type of an elementwise result with operands of one type, numeric or bool.
pub(super) fn infer_elementwise(op: Op, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let dtype = operands.first().map_or(DType::F32, |ty| ty.dtype);
    if operands.iter().any(|ty| ty.dtype != dtype) {
        return Err(invalid(op, "operands must have the same element type"));
    }
    Ok(TensorType { dtype, dims: broadcast(op, operands)? })
}

/// The compute of an elementwise op whose scalar function is `apply`.
pub(super) fn lower_elementwise(
    operands: &[&TensorType],
    output: &TensorType,
    apply: impl FnOnce(&mut Body, &[StepId]) -> StepId,
) -> Option<Compute> {
    Some(Compute::map(operands, output, |body, coords| {
        let loads: Vec<StepId> =
            operands.iter().enumerate().map(|(i, ty)| body.load(i as u32, broadcast_coords(ty, coords))).collect();
        apply(body, &loads);
    }))
}

/// Lowers to one unary scalar operation.
pub(super) fn lower_unary(op: UnaryOp, operands: &[&TensorType], output: &TensorType) -> Option<Compute> {
    lower_elementwise(operands, output, |body, loads| body.unary(op, loads[0]))
}

/// Lowers to one binary scalar operation.
pub(super) fn lower_binary(op: BinaryOp, operands: &[&TensorType], output: &TensorType) -> Option<Compute> {
    lower_elementwise(operands, output, |body, loads| body.binary(op, loads[0], loads[1]))
}

/// Calls `visit` with the coordinates of each element of a shape, in row-major order.
pub(super) fn for_each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..shape.iter().product::<usize>() {
        visit(&index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// The row-major position of coordinates; those of dims of size 1 are taken as 0.
pub(super) fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |offset, (size, i)| offset * size + if *size == 1 { 0 } else { *i })
}

/// Evaluates an elementwise op on floats in f64.
pub(super) fn eval_f64(operands: &[&Tensor], output: &TensorType, apply: impl Fn(&[f64]) -> f64) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let values: Vec<Vec<f64>> = operands.iter().map(|tensor| tensor.to_f64()).collect();
    let mut result = Vec::with_capacity(crate::tensor::element_count(&shape)?);
    let mut arguments = vec![0.0; operands.len()];
    for_each_index(&shape, |index| {
        for ((argument, tensor), data) in arguments.iter_mut().zip(operands).zip(&values) {
            *argument = data[offset(tensor.shape(), index)];
        }
        result.push(apply(&arguments));
    });
    Tensor::from_f64(output.dtype, &shape, &result)
}

/// The result type of a reduction: reduced axes become 1.
pub(super) fn infer_reduce(op: Op, operand: &TensorType, attrs: &Attrs) -> Result<TensorType, TypeError> {
    let axes = attrs.ints("axes");
    let sorted = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !sorted || axes.iter().any(|axis| *axis < 0 || *axis >= operand.rank() as i64) {
        return Err(invalid(op, format!("axes {axes:?} do not fit rank {}", operand.rank())));
    }
    let keep = |(axis, dim): (usize, &Dim)| if axes.contains(&(axis as i64)) { 1.into() } else { dim.clone() };
    Ok(TensorType { dtype: operand.dtype, dims: operand.dims.iter().enumerate().map(keep).collect() })
}

/// Lowers a reduction along `axes`; `finish` adds the epilogue.
pub(super) fn lower_reduce(op: ReduceOp, operand: &TensorType, attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let reduced = attrs.ints("axes");
    let outer = axes("o", &output.dims);
    let sizes: Vec<Dim> = reduced.iter().map(|axis| operand.dims[*axis as usize].clone()).collect();
    let inner = axes("r", &sizes);
    let mut coords: Vec<Dim> = outer.iter().map(|axis| axis.dim()).collect();
    for (axis, loop_axis) in reduced.iter().zip(&inner) {
        coords[*axis as usize] = loop_axis.dim();
    }
    let mut value = Body::default();
    value.load(0, coords);
    let mut result = Body::default();
    result.push(crate::compute::Step::Reduced);
    Some(Compute {
        inputs: vec![operand.clone()],
        output: output.clone(),
        coords: outer.iter().map(|axis| axis.dim()).collect(),
        axes: outer,
        reduction: Some(Reduction { op, dtype: operand.dtype, axes: inner, value }),
        result,
    })
}

/// Evaluates a reduction in f64.
pub(super) fn eval_reduce(operand: &Tensor, output: &TensorType, start: f64, combine: impl Fn(f64, f64) -> f64) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let mut result = vec![start; crate::tensor::element_count(&shape)?];
    let values = operand.to_f64();
    let mut position = 0;
    for_each_index(operand.shape(), |index| {
        let cell = &mut result[offset(&shape, index)];
        *cell = combine(*cell, values[position]);
        position += 1;
    });
    Tensor::from_f64(output.dtype, &shape, &result)
}

/// Evaluates a movement: each output element is the operand's element at the offset that `source` gives for its
/// coordinates, or all zero bytes where it gives none.
pub(super) fn eval_move(x: &Tensor, output: &TensorType, mut source: impl FnMut(&[usize]) -> Option<usize>) -> Option<Tensor> {
    let shape = output.static_shape()?;
    let mut result = Tensor::zeros(output.dtype, &shape)?;
    let size = output.dtype.size();
    let (from, to) = (x.bytes(), result.bytes_mut());
    let mut position = 0;
    for_each_index(&shape, |index| {
        if let Some(start) = source(index) {
            to[position..position + size].copy_from_slice(&from[start * size..(start + 1) * size]);
        }
        position += size;
    });
    Some(result)
}
