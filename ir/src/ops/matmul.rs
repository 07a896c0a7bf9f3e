use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::Attrs;
use crate::compute::{Axis, Body, Compute, Reduction, axes, broadcast_coords};
use crate::dim::Dim;
use crate::random::Random;
use crate::scalar::{BinaryOp, ReduceOp};
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "matmul",
    doc: "Matrix products of `[.., m, k]` with `[.., k, n]`; leading dims are equal, or 1 and broadcast.",
    operands: Operands::Fixed(&["a", "b"]),
    attrs: &[],
    class: Class::Contraction,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::MultiplyAdds(multiply_adds),
    infer,
    eval: |operands, _, output| {
        if output.dtype.is_float() { products::<f64>(operands, output) } else { products::<i64>(operands, output) }
    },
    lower,
    sample,
};

fn infer(operands: &[&TensorType], _: &Attrs) -> Result<TensorType, TypeError> {
    let (a, b) = (operands[0], operands[1]);
    common::check_dtype(Op::MatMul, a.dtype, common::NUMERIC)?;
    if a.rank() < 2 || a.rank() != b.rank() || a.dtype != b.dtype {
        return Err(invalid(Op::MatMul, format!("operands {a} and {b} must have the same rank, at least 2, and element type")));
    }
    let batch = a.rank() - 2;
    if a.dims[batch + 1] != b.dims[batch] {
        return Err(invalid(Op::MatMul, format!("inner sizes of {a} and {b} differ")));
    }
    let lead = |ty: &TensorType| TensorType { dtype: ty.dtype, dims: ty.dims[..batch].to_vec() };
    let mut dims = common::broadcast(Op::MatMul, &[&lead(a), &lead(b)])?;
    dims.extend([a.dims[batch].clone(), b.dims[batch + 1].clone()]);
    Ok(TensorType { dtype: a.dtype, dims })
}

fn multiply_adds(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Vec<Dim> {
    output.dims.iter().chain(operands[0].dims.last()).cloned().collect()
}

fn products<T: common::Element>(operands: &[&Tensor], output: &TensorType) -> Option<Tensor> {
    let (a, b, shape) = (operands[0], operands[1], output.static_shape()?);
    let (x, y) = (T::read(a), T::read(b));
    let batch = shape.len() - 2;
    let (rows, columns, depth) = (shape[batch], shape[batch + 1], a.shape()[batch + 1]);
    let mut result = vec![T::default(); element_count(&shape)?];
    let mut position = 0;
    common::for_each_index(&shape[..batch], |index| {
        let left = common::offset(&a.shape()[..batch], index) * rows * depth;
        let right = common::offset(&b.shape()[..batch], index) * depth * columns;
        for row in 0..rows {
            let sums = &mut result[position..position + columns];
            for k in 0..depth {
                let factor = x[left + row * depth + k];
                let line = &y[right + k * columns..][..columns];
                sums.iter_mut().zip(line).for_each(|(sum, y)| *sum = sum.plus_product(factor, *y));
            }
            position += columns;
        }
    });
    T::write(output.dtype, &shape, &result)
}

fn lower(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Option<Compute> {
    let (a, b) = (operands[0], operands[1]);
    let rank = output.rank();
    let outer = axes("o", &output.dims);
    let k = Axis::new("%r0", &a.dims[rank - 1]);
    let coords: Vec<Dim> = outer.iter().map(Axis::dim).collect();
    let (mut left, mut right) = (coords.clone(), coords.clone());
    left[rank - 1] = k.dim();
    right[rank - 2] = k.dim();
    let dtype = common::accumulator(output.dtype);
    let mut value = Body::default();
    let x = value.load(0, broadcast_coords(a, &left));
    let x = common::cast(&mut value, a.dtype, dtype, x);
    let y = value.load(1, broadcast_coords(b, &right));
    let y = common::cast(&mut value, b.dtype, dtype, y);
    value.binary(BinaryOp::Mul, x, y);
    Some(Compute {
        inputs: vec![a.clone(), b.clone()],
        output: output.clone(),
        axes: outer,
        coords,
        reduction: Some(Reduction { op: ReduceOp::Sum, dtype, axes: vec![k], value, weight: None }),
        result: common::epilogue(output.dtype, |_, sum| sum),
    })
}

fn sample(random: &mut Random) -> Sample {
    let dtype = random.pick(common::NUMERIC, DType::F32);
    let mut sample = common::sample_elementwise(random, 2, &[dtype]);
    sample.operands.iter_mut().for_each(|ty| ty.dims.truncate(2));
    let sizes = common::sample_dims(random, 3);
    sample.operands[0].dims.extend([sizes[0].clone(), sizes[1].clone()]);
    sample.operands[1].dims.extend([sizes[1].clone(), sizes[2].clone()]);
    sample
}
