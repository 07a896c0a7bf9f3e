//! Walking over the elements of tensors.

use crate::number::Number;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// Calls `visit` with the coordinates of each element of a shape, in row-major order.
pub(in crate::ops) fn for_each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
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
pub(in crate::ops) fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |offset, (size, i)| offset * size + if *size == 1 { 0 } else { *i })
}

/// Row-major strides, in elements.
pub(in crate::ops) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Applies `apply` to the operands' elements at each coordinate of `shape`; dims of size 1 are broadcast.
pub(in crate::ops) fn zip_map<T: Copy, R, const N: usize>(
    operands: [(&[usize], &[T]); N],
    shape: &[usize],
    mut apply: impl FnMut([T; N]) -> R,
) -> Vec<R> {
    let (width, outer) = shape.split_last().map_or((1, shape), |(width, outer)| (*width, outer));
    let mut result = Vec::with_capacity(shape.iter().product());
    if width == 0 {
        return result;
    }
    let steps = operands.map(|(shape, _)| usize::from(shape.last().is_some_and(|size| *size != 1)));
    for_each_index(outer, |index| {
        let bases = operands.map(|(shape, _)| match shape.split_last() {
            Some((width, outer)) => offset(outer, index) * width,
            None => 0,
        });
        result.extend((0..width).map(|i| apply(std::array::from_fn(|k| operands[k].1[bases[k] + i * steps[k]]))));
    });
    result
}

/// Evaluates a movement: each output element is the operand's element at the offset that `source` gives for its
/// coordinates, or all zero bytes where it gives none.
pub(in crate::ops) fn eval_move(
    x: &Tensor,
    output: &TensorType,
    source: impl FnMut(&[usize]) -> Option<usize>,
) -> Option<Tensor> {
    eval_move_over(Tensor::zeros(output.dtype, &output.static_shape()?)?, x, source)
}

/// [`eval_move`] that keeps the elements of `result` where `source` gives none.
pub(in crate::ops) fn eval_move_over(
    mut result: Tensor,
    x: &Tensor,
    mut source: impl FnMut(&[usize]) -> Option<usize>,
) -> Option<Tensor> {
    let (shape, size) = (result.shape().to_vec(), x.dtype().size());
    let (from, to) = (x.bytes(), result.bytes_mut());
    let mut position = 0;
    for_each_index(&shape, |index| {
        let element = source(index).and_then(|start| from.get(start * size..(start + 1) * size));
        if let Some(element) = element {
            to[position..position + size].copy_from_slice(element);
        }
        position += size;
    });
    Some(result)
}

/// Evaluates a tensor whose elements depend on nothing but their coordinates.
pub(in crate::ops) fn eval_positions(output: &TensorType, value: impl Fn(&[usize]) -> Number) -> Option<Tensor> {
    let mut result = Tensor::zeros(output.dtype, &output.static_shape()?)?;
    let (shape, size) = (result.shape().to_vec(), output.dtype.size());
    let bytes = result.bytes_mut();
    let mut position = 0;
    for_each_index(&shape, |index| {
        value(index).write(&mut bytes[position..]);
        position += size;
    });
    Some(result)
}

/// The elements of a tensor of sizes `shape` in the order of its transpose by `perm`.
pub(in crate::ops) fn permute<T: Copy>(values: &[T], shape: &[usize], perm: &[usize]) -> Vec<T> {
    let strides = strides(shape);
    let to: Vec<usize> = perm.iter().map(|axis| shape[*axis]).collect();
    let mut result = Vec::with_capacity(values.len());
    for_each_index(&to, |index| {
        result.push(values[index.iter().zip(perm).map(|(i, axis)| i * strides[*axis]).sum::<usize>()]);
    });
    result
}
