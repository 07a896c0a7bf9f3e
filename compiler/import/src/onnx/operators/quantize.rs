//! Quantization.

use super::conv::{add_bias, convolve_integers};
use super::matmul::{multiply_integers, per_row};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, unsupported};
use crate::onnx::operand::Operand;
use crate::onnx::tensors;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("DequantizeLinear", dequantize),
    Operator::standard("DynamicQuantizeLinear", dynamic_quantize),
    Operator::standard("QLinearConv", quantized_conv),
    Operator::standard("QLinearMatMul", quantized_matmul),
    Operator::standard("QuantizeLinear", quantize),
];

fn value_range(dtype: DType) -> NodeResult<(f64, f64)> {
    match dtype {
        DType::U8 => Ok((0.0, 255.0)),
        DType::I8 => Ok((-128.0, 127.0)),
        DType::U16 => Ok((0.0, 65535.0)),
        DType::I16 => Ok((-32768.0, 32767.0)),
        _ => unsupported(format!("quantization to {dtype} is not supported")),
    }
}

/// A scale or zero point for each slice along the node's axis, shaped to meet an operand of rank `rank`.
fn along_axis(cx: &mut Importer, node: &Node, parameter: &Operand, rank: usize) -> NodeResult<Operand> {
    let block = node.int("block_size", 0);
    if block > 0 && cx.rank(parameter) == rank {
        return repeated(cx, parameter, axis(node.int("axis", 1), rank)?, block);
    }
    let count = cx.ty(parameter).element_count();
    if count.is(1) || rank == 0 {
        return cx.reshape(parameter, &[]);
    }
    let mut dims = vec![Dim::constant(1); rank];
    dims[axis(node.int("axis", 1), rank)?] = count;
    cx.reshape(parameter, &dims)
}

/// Each element `count` times along an axis.
fn repeated(cx: &mut Importer, x: &Operand, axis: usize, count: i64) -> NodeResult<Operand> {
    let (own, mut split) = (cx.dims(x), cx.dims(x));
    split.insert(axis + 1, 1.into());
    let single = cx.reshape(x, &split)?;
    split[axis + 1] = count.into();
    let wide = cx.broadcast(&single, &split)?;
    let mut dims = own.clone();
    dims[axis] = own[axis].clone() * count.into();
    cx.reshape(&wide, &dims)
}

/// The product of two scales as f32, the first one of rows where it has several elements.
fn joint_scale(cx: &mut Importer, a: &Operand, b: &Operand) -> NodeResult<Operand> {
    let (a, b) = (cx.cast(a, DType::F32)?, cx.cast(b, DType::F32)?);
    cx.mul(&a, &b)
}

/// Sums of products of integers as numbers of a quantized type.
fn requantized(cx: &mut Importer, sums: &Operand, factor: &Operand, scale: &Operand, zero: &Operand) -> NodeResult<Operand> {
    let numbers = cx.cast(sums, DType::F32)?;
    let numbers = cx.mul(&numbers, factor)?;
    let scale = cx.cast(scale, DType::F32)?;
    quantized(cx, &numbers, &scale, zero)
}

fn quantized_matmul(cx: &mut Importer, node: &Node) -> Results {
    let (a, b) = ((node.input(0)?, Some(node.input(2)?)), (node.input(3)?, Some(node.input(5)?)));
    let sums = multiply_integers(cx, a, b)?;
    let rows = per_row(cx, node.input(1)?)?;
    let factor = joint_scale(cx, &rows, node.input(4)?)?;
    let (scale, zero) = (per_row(cx, node.input(6)?)?, per_row(cx, node.input(7)?)?);
    one(requantized(cx, &sums, &factor, &scale, &zero)?)
}

fn quantized_conv(cx: &mut Importer, node: &Node) -> Results {
    let (x, w) = ((node.input(0)?, Some(node.input(2)?)), (node.input(3)?, Some(node.input(5)?)));
    let sums = convolve_integers(cx, node, x, w)?;
    let sums = add_bias(cx, &sums, node.optional(8)?)?;
    let mut dims = vec![Dim::constant(1); cx.rank(&sums) - 1];
    dims[0] = cx.ty(node.input(4)?).element_count();
    let scales = cx.reshape(node.input(4)?, &dims)?;
    let factor = joint_scale(cx, node.input(1)?, &scales)?;
    one(requantized(cx, &sums, &factor, node.input(6)?, node.input(7)?)?)
}

fn dequantize(cx: &mut Importer, node: &Node) -> Results {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let rank = cx.rank(x);
    let scale = along_axis(cx, node, scale, rank)?;
    let zero = node.optional(2)?.map(|zero| along_axis(cx, node, zero, rank)).transpose()?;
    one(dequantized(cx, x, &scale, zero.as_ref())?)
}

/// `(x - zero) * scale`.
pub(super) fn dequantized(cx: &mut Importer, x: &Operand, scale: &Operand, zero: Option<&Operand>) -> NodeResult<Operand> {
    let mut centered = cx.cast(x, DType::I32)?;
    if let Some(zero) = zero {
        let zero = cx.cast(zero, DType::I32)?;
        centered = cx.sub(&centered, &zero)?;
    }
    let centered = cx.cast(&centered, cx.dtype(scale))?;
    cx.mul(&centered, scale)
}

/// `saturate(round(x / scale) + zero)`.
pub(super) fn quantized(cx: &mut Importer, x: &Operand, scale: &Operand, zero: &Operand) -> NodeResult<Operand> {
    let dtype = cx.dtype(zero);
    let (low, high) = value_range(dtype)?;
    let scaled = cx.div(x, scale)?;
    let rounded = cx.unary(Op::Round, &scaled)?;
    let offset = cx.cast(zero, cx.dtype(x))?;
    let shifted = cx.add(&rounded, &offset)?;
    let clipped = cx.op(Op::Clip, Attrs::new().with("min", low).with("max", high), &[&shifted])?;
    cx.cast(&clipped, dtype)
}

fn quantize(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let scale = along_axis(cx, node, node.input(1)?, rank)?;
    let scale = cx.cast(&scale, cx.dtype(x))?;
    let zero = match node.optional(2)? {
        Some(zero) => along_axis(cx, node, zero, rank)?,
        None if node.int("output_dtype", 0) != 0 => cx.scalar(tensors::dtype(node.int("output_dtype", 0))?, 0.0)?,
        None => cx.scalar(DType::U8, 0.0)?,
    };
    one(quantized(cx, x, &scale, &zero)?)
}

fn dynamic_quantize(cx: &mut Importer, node: &Node) -> Results {
    let (result, scale, zero) = quantized_dynamically(cx, node.input(0)?)?;
    Ok(vec![result, scale, zero])
}

/// The elements as u8 with the scale and the zero point that their range, 0 included, gives.
pub(super) fn quantized_dynamically(cx: &mut Importer, x: &Operand) -> NodeResult<(Operand, Operand, Operand)> {
    let axes: Vec<usize> = (0..cx.rank(x)).collect();
    let (low, high) = (cx.reduce(Op::ReduceMin, x, &axes)?, cx.reduce(Op::ReduceMax, x, &axes)?);
    let (low, high) = (cx.reshape(&low, &[])?, cx.reshape(&high, &[])?);
    let (low, high) = (cx.with_scalar(Op::Minimum, &low, 0.0)?, cx.with_scalar(Op::Maximum, &high, 0.0)?);
    let width = cx.sub(&high, &low)?;
    let is_zero = cx.with_scalar(Op::Equal, &width, 0.0)?;
    let full = cx.scalar_like(x, 255.0)?;
    let width = cx.select(&is_zero, &full, &width)?;
    let scale = cx.div(&width, &full)?;
    let zero = cx.div(&low, &scale)?;
    let zero = cx.unary(Op::Neg, &zero)?;
    let zero = cx.op(Op::Clip, Attrs::new().with("min", 0.0).with("max", 255.0), &[&zero])?;
    let zero = cx.unary(Op::Round, &zero)?;
    let zero = cx.cast(&zero, DType::U8)?;
    Ok((quantized(cx, x, &scale, &zero)?, scale, zero))
}
