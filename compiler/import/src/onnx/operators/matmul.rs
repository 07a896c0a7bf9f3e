//! Matrix products.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::{NodeResult, invalid};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Gemm", gemm),
    Operator::standard("MatMul", matmul),
    Operator::standard("MatMulInteger", matmul_integer),
];

fn matmul(cx: &mut Importer, node: &Node) -> Results {
    one(product(cx, node.input(0)?, node.input(1)?)?)
}

/// Numpy's matrix product: vectors become matrices and the added axes disappear again.
pub(super) fn product(cx: &mut Importer, a: &Operand, b: &Operand) -> NodeResult<Operand> {
    let (left, right) = (cx.dims(a), cx.dims(b));
    if left.is_empty() || right.is_empty() {
        return invalid("matrix products need operands of rank 1 or more");
    }
    let one = Dim::constant(1);
    let row = if left.len() == 1 { cx.reshape(a, &[one.clone(), left[0].clone()])? } else { a.clone() };
    let column = if right.len() == 1 { cx.reshape(b, &[right[0].clone(), one])? } else { b.clone() };
    let result = cx.matmul(&row, &column)?;
    let mut dims = cx.dims(&result);
    if right.len() == 1 {
        dims.remove(dims.len() - 1);
    }
    if left.len() == 1 {
        dims.remove(dims.len() - 1 - usize::from(right.len() != 1));
    }
    cx.reshape(&result, &dims)
}

fn gemm(cx: &mut Importer, node: &Node) -> Results {
    let (mut a, mut b) = (node.input(0)?.clone(), node.input(1)?.clone());
    if cx.rank(&a) != 2 || cx.rank(&b) != 2 {
        return invalid("the operands must have rank 2");
    }
    if node.flag("transA", false) {
        a = cx.transpose_last(&a)?;
    }
    if node.flag("transB", false) {
        b = cx.transpose_last(&b)?;
    }
    let mut result = cx.matmul(&a, &b)?;
    result = scaled(cx, &result, node.float("alpha", 1.0))?;
    let beta = node.float("beta", 1.0);
    if let Some(c) = node.optional(2)?
        && beta != 0.0
    {
        let c = scaled(cx, c, beta)?;
        result = cx.add(&result, &c)?;
    }
    one(result)
}

fn scaled(cx: &mut Importer, x: &Operand, factor: f64) -> NodeResult<Operand> {
    if factor == 1.0 { Ok(x.clone()) } else { cx.with_scalar(Op::Mul, x, factor) }
}

fn matmul_integer(cx: &mut Importer, node: &Node) -> Results {
    let (a, b) = ((node.input(0)?, node.optional(2)?), (node.input(1)?, node.optional(3)?));
    one(multiply_integers(cx, a, b)?)
}

/// A parameter of each row, shaped to meet matrices.
pub(super) fn per_row(cx: &mut Importer, parameter: &Operand) -> NodeResult<Operand> {
    if cx.rank(parameter) != 1 {
        return Ok(parameter.clone());
    }
    let rows = cx.dims(parameter)[0].clone();
    cx.reshape(parameter, &[rows, 1.into()])
}

/// The product of integers with their zero points: of rows for the first factor, of columns for the second one.
pub(super) fn multiply_integers(
    cx: &mut Importer,
    a: (&Operand, Option<&Operand>),
    b: (&Operand, Option<&Operand>),
) -> NodeResult<Operand> {
    let (mut left, mut right) = (cx.cast(a.0, DType::I32)?, cx.cast(b.0, DType::I32)?);
    if let Some(zero) = a.1 {
        let zero = cx.cast(zero, DType::I32)?;
        let zero = per_row(cx, &zero)?;
        left = cx.sub(&left, &zero)?;
    }
    if let Some(zero) = b.1 {
        let zero = cx.cast(zero, DType::I32)?;
        right = cx.sub(&right, &zero)?;
    }
    product(cx, &left, &right)
}
