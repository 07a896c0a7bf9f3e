use super::{Class, Op, OpDef, Operands, Tolerance, families, invalid};
use crate::attrs::Attrs;
use crate::compute::{Axis, Body, Compute, Reduction, Step, axes, broadcast_coords};
use crate::dim::Dim;
use crate::graph::TypeError;
use crate::scalar::{BinaryOp, ReduceOp};
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "matmul",
    doc: "Matrix products of `[.., m, k]` with `[.., k, n]`; leading dims are equal, or 1 and broadcast.",
    operands: Operands::Fixed(&["a", "b"]),
    attrs: &[],
    class: Class::Contraction,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    infer,
    eval,
    lower,
};

fn infer(operands: &[&TensorType], _: &Attrs) -> Result<TensorType, TypeError> {
    let (a, b) = (operands[0], operands[1]);
    if a.rank() < 2 || a.rank() != b.rank() || a.dtype != b.dtype {
        return Err(invalid(Op::MatMul, format!("operands {a} and {b} must have the same rank, at least 2, and element type")));
    }
    let batch = a.rank() - 2;
    if a.dims[batch + 1] != b.dims[batch] {
        return Err(invalid(Op::MatMul, format!("inner sizes of {a} and {b} differ")));
    }
    let lead = |ty: &TensorType| TensorType { dtype: ty.dtype, dims: ty.dims[..batch].to_vec() };
    let mut dims = families::broadcast(Op::MatMul, &[&lead(a), &lead(b)])?;
    dims.extend([a.dims[batch].clone(), b.dims[batch + 1].clone()]);
    Ok(TensorType { dtype: a.dtype, dims })
}

fn eval(operands: &[&Tensor], _: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (a, b) = (operands[0], operands[1]);
    let (x, y) = (a.to_f64(), b.to_f64());
    let shape = output.static_shape()?;
    let rank = shape.len();
    let depth = a.shape()[rank - 1];
    let mut result = Vec::with_capacity(crate::tensor::element_count(&shape)?);
    families::for_each_index(&shape, |index| {
        let (mut left, mut right) = (index.to_vec(), index.to_vec());
        (left[rank - 1], right[rank - 2]) = (0, 0);
        let (left, right) = (families::offset(a.shape(), &left), families::offset(b.shape(), &right));
        let columns = b.shape()[rank - 1];
        result.push((0..depth).map(|k| x[left + k] * y[right + k * columns]).sum());
    });
    Tensor::from_f64(output.dtype, &shape, &result)
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
    let mut value = Body::default();
    let x = value.load(0, broadcast_coords(a, &left));
    let y = value.load(1, broadcast_coords(b, &right));
    value.binary(BinaryOp::Mul, x, y);
    let mut result = Body::default();
    result.push(Step::Reduced);
    Some(Compute {
        inputs: vec![a.clone(), b.clone()],
        output: output.clone(),
        axes: outer,
        coords,
        reduction: Some(Reduction { op: ReduceOp::Sum, dtype: output.dtype, axes: vec![k], value }),
        result,
    })
}
