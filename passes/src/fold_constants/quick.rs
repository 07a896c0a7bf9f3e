//! Faster evaluation of what is done to large weights, with the results of the reference evaluation.

use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};

/// The side of the square blocks in which matrices are transposed.
const BLOCK: usize = 32;

/// The value of an op; `None` where there is no faster way.
pub fn evaluate(op: Op, operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let shape = output.static_shape()?;
    match (op, operands) {
        (Op::Reshape, [x]) => Tensor::from_bytes(x.dtype(), &shape, x.bytes()),
        (Op::Transpose, [x]) => transpose(x, attrs.ints("perm"), &shape),
        (Op::Add, [x, y]) => binary(x, y, &shape, |a, b| a + b),
        (Op::Mul, [x, y]) => binary(x, y, &shape, |a, b| a * b),
        _ => None,
    }
}

/// Row-major strides.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// One axis of a strided copy.
#[derive(Clone, Copy, Debug)]
struct Axis {
    size: usize,
    from: usize,
    to: usize,
}

fn transpose(x: &Tensor, perm: &[i64], shape: &[usize]) -> Option<Tensor> {
    if matches!(x.dtype(), DType::Block(_)) {
        return None;
    }
    let (from, to) = (strides(x.shape()), strides(shape));
    let mut result = Tensor::zeros(x.dtype(), shape)?;
    let all =
        perm.iter().enumerate().map(|(axis, source)| Axis { size: shape[axis], from: from[*source as usize], to: to[axis] });
    let axes = merged(all.filter(|axis| axis.size != 1));
    match x.dtype().size() {
        _ if x.is_empty() => (),
        1 => copy::<u8>(x, &mut result, &axes),
        2 => copy::<u16>(x, &mut result, &axes),
        4 => copy::<u32>(x, &mut result, &axes),
        8 => copy::<u64>(x, &mut result, &axes),
        _ => return None,
    }
    Some(result)
}

/// The axes with neighbours joined that lie side by side on both sides.
fn merged(axes: impl Iterator<Item = Axis>) -> Vec<Axis> {
    let mut result: Vec<Axis> = Vec::new();
    for axis in axes {
        match result.last_mut() {
            Some(last) if last.from == axis.from * axis.size && last.to == axis.to * axis.size => {
                *last = Axis { size: last.size * axis.size, ..axis };
            }
            _ => result.push(axis),
        }
    }
    result
}

fn copy<T: bytemuck::Pod>(x: &Tensor, result: &mut Tensor, axes: &[Axis]) {
    let (from, to) = (x.as_slice::<T>(), result.as_mut_slice::<T>());
    let Some((inner, rest)) = axes.split_last() else {
        to.copy_from_slice(from);
        return;
    };
    let dense = rest.iter().position(|axis| axis.from == 1);
    let outer: Vec<Axis> =
        rest.iter().enumerate().filter(|(position, _)| Some(*position) != dense).map(|(_, axis)| *axis).collect();
    let across = dense.map_or(Axis { size: 1, from: 0, to: 0 }, |position| rest[position]);
    for_each_start(&outer, &mut |source, target| copy_matrix(from, to, (source, target), across, *inner));
}

/// Calls `visit` with the offsets of all combinations of positions along the axes.
fn for_each_start(axes: &[Axis], visit: &mut dyn FnMut(usize, usize)) {
    let total: usize = axes.iter().map(|axis| axis.size).product();
    for number in 0..total {
        let (mut rest, mut source, mut target) = (number, 0, 0);
        for axis in axes.iter().rev() {
            source += rest % axis.size * axis.from;
            target += rest % axis.size * axis.to;
            rest /= axis.size;
        }
        visit(source, target);
    }
}

/// Copies a matrix in blocks, so that both sides stay within cache lines that are in use.
fn copy_matrix<T: Copy>(from: &[T], to: &mut [T], start: (usize, usize), rows: Axis, columns: Axis) {
    for row_block in (0..rows.size).step_by(BLOCK) {
        let row_end = rows.size.min(row_block + BLOCK);
        for column_block in (0..columns.size).step_by(BLOCK) {
            let column_end = columns.size.min(column_block + BLOCK);
            for row in row_block..row_end {
                let (source, target) = (start.0 + row * rows.from, start.1 + row * rows.to);
                for column in column_block..column_end {
                    to[target + column * columns.to] = from[source + column * columns.from];
                }
            }
        }
    }
}

/// An elementwise op on f32; f32 arithmetic rounds sums and products as f64 arithmetic rounded to f32 does.
fn binary(x: &Tensor, y: &Tensor, shape: &[usize], apply: impl Fn(f32, f32) -> f32) -> Option<Tensor> {
    if x.dtype() != DType::F32 || y.dtype() != DType::F32 || x.shape() != shape || shape.is_empty() || x.is_empty() {
        return None;
    }
    let mut result = x.clone();
    let right = y.as_slice::<f32>();
    let steps: Vec<usize> =
        strides(y.shape()).iter().zip(y.shape()).map(|(stride, size)| if *size == 1 { 0 } else { *stride }).collect();
    let (last, row) = (shape.len() - 1, shape[shape.len() - 1]);
    for (number, values) in result.as_mut_slice::<f32>().chunks_mut(row).enumerate() {
        let (mut rest, mut start) = (number, 0);
        for axis in (0..last).rev() {
            start += rest % shape[axis] * steps[axis];
            rest /= shape[axis];
        }
        if steps[last] == 0 {
            values.iter_mut().for_each(|value| *value = apply(*value, right[start]));
        } else {
            values.iter_mut().zip(&right[start..]).for_each(|(value, other)| *value = apply(*value, *other));
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::random::Random;

    #[test]
    fn agrees_with_the_reference() {
        let mut random = Random::new(3);
        let mut checked = [0; 4];
        for (position, op) in [Op::Reshape, Op::Transpose, Op::Add, Op::Mul].into_iter().enumerate() {
            for _ in 0..300 {
                let sample = (op.def().sample)(&mut random);
                let operands: Vec<Tensor> = sample.operands.iter().filter_map(|ty| random.tensor(ty)).collect();
                let operands: Vec<&Tensor> = operands.iter().collect();
                let ty = op.infer(&sample.operands.iter().collect::<Vec<_>>(), &sample.attrs).expect("a valid sample");
                if let Some(result) = evaluate(op, &operands, &sample.attrs, &ty) {
                    let reference = (op.def().eval)(&operands, &sample.attrs, &ty);
                    assert_eq!(reference.as_ref().map(Tensor::bytes), Some(result.bytes()), "{op} {sample:?}");
                    checked[position] += 1;
                }
            }
        }
        assert!(checked.iter().all(|count| *count > 5), "{checked:?}");
    }

    #[test]
    fn transposes_large_matrices() {
        let x = Tensor::f32(&[70, 3, 90], &(0..70 * 3 * 90).map(|i| i as f32).collect::<Vec<_>>()).expect("a tensor");
        let attrs = Attrs::new().with("perm", vec![2, 1, 0]);
        let ty = TensorType::new(DType::F32, [90, 3, 70]);
        let reference = (Op::Transpose.def().eval)(&[&x], &attrs, &ty);
        assert_eq!(evaluate(Op::Transpose, &[&x], &attrs, &ty), reference);
    }
}
