//! Quantization.

use super::{Context, Entry, Node, Results, one};
use crate::import::onnx::item::Item;
use crate::import::onnx::node::axis;
use crate::import::onnx::problem::{Outcome, unsupported};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Entry] =
    &[("DequantizeLinear", "", dequantize), ("DynamicQuantizeLinear", "", dynamic_quantize), ("QuantizeLinear", "", quantize)];

fn value_range(dtype: DType) -> Outcome<(f64, f64)> {
    match dtype {
        DType::U8 => Ok((0.0, 255.0)),
        DType::I8 => Ok((-128.0, 127.0)),
        DType::U16 => Ok((0.0, 65535.0)),
        DType::I16 => Ok((-32768.0, 32767.0)),
        _ => unsupported(format!("quantization to {dtype} is not supported")),
    }
}

/// A scale or zero point for each slice along the node's axis, shaped to meet an operand of rank `rank`.
fn along_axis(cx: &mut Context, node: &Node, parameter: &Item, rank: usize) -> Outcome<Item> {
    if node.int("block_size", 0) != 0 {
        return unsupported("quantization in blocks is not supported");
    }
    let count = cx.ty(parameter).element_count();
    if count.is(1) || rank == 0 {
        return cx.reshape(parameter, &[]);
    }
    let mut dims = vec![Dim::constant(1); rank];
    dims[axis(node.int("axis", 1), rank)?] = count;
    cx.reshape(parameter, &dims)
}

fn dequantize(cx: &mut Context, node: &Node) -> Results {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let (rank, dtype) = (cx.rank(x), cx.dtype(scale));
    let scale = along_axis(cx, node, scale, rank)?;
    let mut centered = cx.cast(x, DType::I32)?;
    if let Some(zero) = node.optional(2)? {
        let zero = along_axis(cx, node, zero, rank)?;
        let zero = cx.cast(&zero, DType::I32)?;
        centered = cx.sub(&centered, &zero)?;
    }
    let centered = cx.cast(&centered, dtype)?;
    one(cx.mul(&centered, &scale)?)
}

/// `saturate(round(x / scale) + zero)`.
fn quantized(cx: &mut Context, x: &Item, scale: &Item, zero: &Item) -> Outcome<Item> {
    let dtype = cx.dtype(zero);
    let (low, high) = value_range(dtype)?;
    let scaled = cx.div(x, scale)?;
    let rounded = cx.unary(Op::Round, &scaled)?;
    let offset = cx.cast(zero, cx.dtype(x))?;
    let shifted = cx.add(&rounded, &offset)?;
    let clipped = cx.node(Op::Clip, Attrs::new().with("min", low).with("max", high), &[&shifted])?;
    cx.cast(&clipped, dtype)
}

fn quantize(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let scale = along_axis(cx, node, node.input(1)?, rank)?;
    let scale = cx.cast(&scale, cx.dtype(x))?;
    let zero = match node.optional(2)? {
        Some(zero) => along_axis(cx, node, zero, rank)?,
        None => cx.scalar(DType::U8, 0.0)?,
    };
    one(quantized(cx, x, &scale, &zero)?)
}

fn dynamic_quantize(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
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
    let zero = cx.node(Op::Clip, Attrs::new().with("min", 0.0).with("max", 255.0), &[&zero])?;
    let zero = cx.unary(Op::Round, &zero)?;
    let zero = cx.cast(&zero, DType::U8)?;
    Ok(vec![quantized(cx, x, &scale, &zero)?, scale, zero])
}
