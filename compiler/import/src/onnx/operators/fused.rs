//! Operators of optimized transformer exports: several standard ones in one.

use super::matmul::{multiply_integers, product};
use super::normalization::{affine, normalize, root_mean_square};
use super::quantize::{dequantized, quantized, quantized_dynamically};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

const MICROSOFT: &str = "com.microsoft";

pub(super) const OPERATORS: &[Operator] = &[
    Operator::new(MICROSOFT, "BiasGelu", |cx, node| with_bias(cx, node, Op::Gelu)),
    Operator::new(MICROSOFT, "DynamicQuantizeMatMul", dynamic_matmul),
    Operator::new(MICROSOFT, "EmbedLayerNormalization", embed),
    Operator::new(MICROSOFT, "FastGelu", |cx, node| with_bias(cx, node, Op::GeluTanh)),
    Operator::new(MICROSOFT, "FusedMatMul", fused_matmul),
    Operator::new(MICROSOFT, "MatMulIntegerToFloat", matmul_to_float),
    Operator::new(MICROSOFT, "QGemm", quantized_gemm),
    Operator::new(MICROSOFT, "QLinearAdd", |cx, node| quantized_binary(cx, node, Op::Add)),
    Operator::new(MICROSOFT, "QLinearConcat", quantized_concat),
    Operator::new(MICROSOFT, "QLinearGlobalAveragePool", quantized_global_average),
    Operator::new(MICROSOFT, "QLinearLeakyRelu", quantized_leaky_relu),
    Operator::new(MICROSOFT, "QLinearMul", |cx, node| quantized_binary(cx, node, Op::Mul)),
    Operator::new(MICROSOFT, "QLinearSigmoid", quantized_sigmoid),
    Operator::new(MICROSOFT, "SkipLayerNormalization", skip_layer),
    Operator::new(MICROSOFT, "SkipSimplifiedLayerNormalization", skip_root_mean_square),
];

fn add_optional(cx: &mut Importer, x: &Operand, y: Option<&Operand>) -> NodeResult<Operand> {
    y.map_or(Ok(x.clone()), |y| cx.add(x, y))
}

fn with_bias(cx: &mut Importer, node: &Node, op: Op) -> Results {
    let sum = add_optional(cx, node.input(0)?, node.optional(1)?)?;
    one(cx.unary(op, &sum)?)
}

fn fused_matmul(cx: &mut Importer, node: &Node) -> Results {
    if node.flag("transBatchA", false) || node.flag("transBatchB", false) {
        return unsupported("a transposed batch is not supported");
    }
    let turned = |cx: &mut Importer, position: usize, name: &str| {
        let x = node.input(position)?;
        if node.flag(name, false) { cx.transpose_last(x) } else { Ok(x.clone()) }
    };
    let (a, b) = (turned(cx, 0, "transA")?, turned(cx, 1, "transB")?);
    let result = product(cx, &a, &b)?;
    let alpha = node.float("alpha", 1.0);
    one(if alpha == 1.0 { result } else { cx.with_scalar(Op::Mul, &result, alpha)? })
}

/// The sum of all operands that are added before the normalization.
fn skip_sum(cx: &mut Importer, node: &Node, bias: usize) -> NodeResult<Operand> {
    let sum = cx.add(node.input(0)?, node.input(1)?)?;
    add_optional(cx, &sum, node.optional(bias)?)
}

fn skip_layer(cx: &mut Importer, node: &Node) -> Results {
    let sum = skip_sum(cx, node, 4)?;
    let last = cx.rank(&sum).saturating_sub(1);
    let normalized = normalize(cx, &sum, &[last], node.float("epsilon", 1e-12))?;
    let result = affine(cx, &normalized.result, node.input(2)?, node.optional(3)?)?;
    let inverse = cx.unary(Op::Recip, &normalized.deviation)?;
    Ok(vec![result, normalized.mean, inverse, sum])
}

fn skip_root_mean_square(cx: &mut Importer, node: &Node) -> Results {
    let sum = skip_sum(cx, node, 3)?;
    let last = cx.rank(&sum).saturating_sub(1);
    let normalized = root_mean_square(cx, &sum, &[last], node.float("epsilon", 1e-12))?;
    let result = affine(cx, &normalized, node.input(2)?, None)?;
    Ok(vec![result, Operand::absent("the mean is not supported"), Operand::absent("the deviation is not supported"), sum])
}

/// The rows of a table at indices.
fn look_up(cx: &mut Importer, table: &Operand, indices: &Operand) -> NodeResult<Operand> {
    cx.op(Op::Gather, Attrs::new().with("axis", 0), &[table, indices])
}

fn embed(cx: &mut Importer, node: &Node) -> Results {
    let ids = node.input(0)?;
    let dims = cx.dims(ids);
    if dims.len() != 2 {
        return invalid(format!("indices of shape {dims:?}; two axes are expected"));
    }
    let words = look_up(cx, node.input(2)?, ids)?;
    let positions = match node.optional(8)? {
        Some(positions) => positions.clone(),
        None => cx.iota(DType::I64, &[1.into(), dims[1].clone()], 1)?,
    };
    let positions = look_up(cx, node.input(3)?, &positions)?;
    let mut sum = cx.add(&words, &positions)?;
    if let (Some(segments), Some(table)) = (node.optional(1)?, node.optional(4)?) {
        let segments = look_up(cx, table, segments)?;
        sum = cx.add(&sum, &segments)?;
    }
    let normalized = normalize(cx, &sum, &[2], node.float("epsilon", 1e-12))?.result;
    let result = affine(cx, &normalized, node.input(5)?, node.optional(6)?)?;
    Ok(vec![result, lengths(cx, node, &dims)?, sum])
}

/// The number of positions of each sequence that a mask names, or 0 without a mask.
fn lengths(cx: &mut Importer, node: &Node, dims: &[Dim]) -> NodeResult<Operand> {
    let Some(mask) = node.optional(7)? else { return cx.full(DType::I32, &dims[..1], 0.0) };
    let mask = cx.cast(mask, DType::I32)?;
    let count = cx.reduce(Op::ReduceSum, &mask, &[1])?;
    cx.reshape(&count, &dims[..1])
}

/// Sums of products of integers as numbers, with a bias.
fn scaled_sums(cx: &mut Importer, sums: &Operand, scales: [&Operand; 2], bias: Option<&Operand>) -> Results {
    let factor = cx.mul(scales[0], scales[1])?;
    let numbers = cx.cast(sums, cx.dtype(&factor))?;
    let numbers = cx.mul(&numbers, &factor)?;
    one(add_optional(cx, &numbers, bias)?)
}

fn matmul_to_float(cx: &mut Importer, node: &Node) -> Results {
    let (a, b) = ((node.input(0)?, node.optional(4)?), (node.input(1)?, node.optional(5)?));
    let sums = multiply_integers(cx, a, b)?;
    scaled_sums(cx, &sums, [node.input(2)?, node.input(3)?], node.optional(6)?)
}

fn dynamic_matmul(cx: &mut Importer, node: &Node) -> Results {
    let (a, scale, zero) = quantized_dynamically(cx, node.input(0)?)?;
    let sums = multiply_integers(cx, (&a, Some(&zero)), (node.input(1)?, node.optional(3)?))?;
    scaled_sums(cx, &sums, [&scale, node.input(2)?], node.optional(4)?)
}

/// The numbers that three operands, from a position on, stand for: elements, scale and zero point.
fn numbers_at(cx: &mut Importer, node: &Node, position: usize) -> NodeResult<Operand> {
    dequantized(cx, node.input(position)?, node.input(position + 1)?, node.optional(position + 2)?)
}

/// A result in the type that scale and zero point, from a position on, give.
fn quantized_at(cx: &mut Importer, node: &Node, x: &Operand, position: usize) -> Results {
    let zero = match node.optional(position + 1)? {
        Some(zero) => zero.clone(),
        None => cx.scalar(cx.dtype(node.input(0)?), 0.0)?,
    };
    one(quantized(cx, x, node.input(position)?, &zero)?)
}

fn quantized_binary(cx: &mut Importer, node: &Node, op: Op) -> Results {
    let (a, b) = (numbers_at(cx, node, 0)?, numbers_at(cx, node, 3)?);
    let result = cx.binary(op, &a, &b)?;
    quantized_at(cx, node, &result, 6)
}

fn quantized_sigmoid(cx: &mut Importer, node: &Node) -> Results {
    let x = numbers_at(cx, node, 0)?;
    let result = cx.unary(Op::Sigmoid, &x)?;
    quantized_at(cx, node, &result, 3)
}

fn quantized_leaky_relu(cx: &mut Importer, node: &Node) -> Results {
    let x = numbers_at(cx, node, 0)?;
    let result = cx.op(Op::LeakyRelu, Attrs::new().with("alpha", node.float("alpha", 0.01)), &[&x])?;
    quantized_at(cx, node, &result, 3)
}

fn quantized_global_average(cx: &mut Importer, node: &Node) -> Results {
    let x = numbers_at(cx, node, 0)?;
    let rank = cx.rank(&x);
    let axes: Vec<usize> =
        if node.flag("channels_last", false) { (1..rank.saturating_sub(1)).collect() } else { (2..rank).collect() };
    let mean = cx.reduce(Op::ReduceMean, &x, &axes)?;
    quantized_at(cx, node, &mean, 3)
}

fn quantized_concat(cx: &mut Importer, node: &Node) -> Results {
    let mut parts = Vec::new();
    for position in (2..node.inputs.len()).step_by(3) {
        parts.push(numbers_at(cx, node, position)?);
    }
    let Some(first) = parts.first() else { return invalid("nothing to concatenate") };
    let axis = axis(node.int("axis", 0), cx.rank(first))?;
    let joined = cx.concat(&parts, axis)?;
    one(quantized(cx, &joined, node.input(0)?, node.input(1)?)?)
}

fn quantized_gemm(cx: &mut Importer, node: &Node) -> Results {
    let turned = |cx: &mut Importer, position: usize, name: &str| {
        let x = node.input(position)?;
        if node.flag(name, false) { cx.transpose_last(x) } else { Ok(x.clone()) }
    };
    let (a, b) = (turned(cx, 0, "transA")?, turned(cx, 3, "transB")?);
    let sums = multiply_integers(cx, (&a, node.optional(2)?), (&b, node.optional(5)?))?;
    let sums = add_optional(cx, &sums, node.optional(6)?)?;
    let scale = cx.with_scalar(Op::Mul, node.input(1)?, node.float("alpha", 1.0))?;
    let numbers = scaled_sums(cx, &sums, [&scale, node.input(4)?], None)?;
    match (numbers.first(), node.optional(7)?) {
        (Some(numbers), Some(_)) => quantized_at(cx, node, numbers, 7),
        _ => Ok(numbers),
    }
}
