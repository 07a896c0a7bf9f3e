//! Normalizations.

use super::search::{coordinate, position_of};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::movement::AxisSlice;
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("BatchNormalization", batch_normalization),
    Operator::standard("GroupNormalization", group_normalization),
    Operator::standard("Hardmax", hardmax),
    Operator::standard("InstanceNormalization", instance_normalization),
    Operator::standard("LRN", local_response),
    Operator::standard("LayerNormalization", layer_normalization),
    Operator::standard("LogSoftmax", log_softmax),
    Operator::standard("LpNormalization", lp_normalization),
    Operator::standard("MeanVarianceNormalization", mean_variance),
    Operator::standard("RMSNormalization", rms_normalization),
    Operator::standard("SimplifiedLayerNormalization", rms_normalization),
    Operator::standard("Softmax", softmax),
];

/// A parameter of each channel, shaped to meet an operand of rank `rank`.
fn per_channel(cx: &mut Importer, parameter: &Operand, rank: usize) -> NodeResult<Operand> {
    let mut dims = cx.dims(parameter);
    dims.resize(rank.saturating_sub(1).max(dims.len()), 1.into());
    cx.reshape(parameter, &dims)
}

fn batch_normalization(cx: &mut Importer, node: &Node) -> Results {
    const WITHOUT_TRAINING_FLAG_SINCE: i64 = 7;
    let trains = node.opset < WITHOUT_TRAINING_FLAG_SINCE && !node.flag("is_test", false);
    if trains || node.flag("training_mode", false) {
        return unsupported("training mode is not supported; export the model for inference");
    }
    let x = node.input(0)?;
    let (rank, dtype) = (cx.rank(x), cx.dtype(x));
    let mut parameters = Vec::new();
    for position in 1..5 {
        let parameter = cx.cast(node.input(position)?, dtype)?;
        parameters.push(per_channel(cx, &parameter, rank)?);
    }
    let [scale, bias, mean, variance] = parameters.as_slice() else { return invalid("four parameters are expected") };
    let deviation = deviation(cx, variance, node.float("epsilon", 1e-5))?;
    let scale = cx.div(scale, &deviation)?;
    let shift = cx.mul(mean, &scale)?;
    let shift = cx.sub(bias, &shift)?;
    let scaled = cx.mul(x, &scale)?;
    one(cx.add(&scaled, &shift)?)
}

fn deviation(cx: &mut Importer, variance: &Operand, epsilon: f64) -> NodeResult<Operand> {
    let sum = cx.with_scalar(Op::Add, variance, epsilon)?;
    cx.unary(Op::Sqrt, &sum)
}

pub(super) struct Normalized {
    pub(super) result: Operand,
    pub(super) mean: Operand,
    pub(super) deviation: Operand,
}

/// Subtracts the mean along axes and divides by the standard deviation.
pub(super) fn normalize(cx: &mut Importer, x: &Operand, axes: &[usize], epsilon: f64) -> NodeResult<Normalized> {
    let mean = cx.reduce(Op::ReduceMean, x, axes)?;
    let centered = cx.sub(x, &mean)?;
    let squares = cx.mul(&centered, &centered)?;
    let variance = cx.reduce(Op::ReduceMean, &squares, axes)?;
    let deviation = deviation(cx, &variance, epsilon)?;
    Ok(Normalized { result: cx.div(&centered, &deviation)?, mean, deviation })
}

pub(super) fn affine(cx: &mut Importer, x: &Operand, scale: &Operand, bias: Option<&Operand>) -> NodeResult<Operand> {
    let scaled = cx.mul(x, scale)?;
    match bias {
        Some(bias) => cx.add(&scaled, bias),
        None => Ok(scaled),
    }
}

/// The element type in which statistics are computed.
fn statistics_dtype(cx: &Importer, node: &Node, x: &Operand) -> DType {
    if node.int("stash_type", 1) == 1 && cx.dtype(x) != DType::F64 { DType::F32 } else { cx.dtype(x) }
}

fn layer_normalization(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (rank, dtype) = (cx.rank(x), cx.dtype(x));
    let axes: Vec<usize> = (axis(node.int("axis", -1), rank)?..rank).collect();
    let wide = cx.cast(x, statistics_dtype(cx, node, x))?;
    let normalized = normalize(cx, &wide, &axes, node.float("epsilon", 1e-5))?;
    let result = cx.cast(&normalized.result, dtype)?;
    let result = affine(cx, &result, node.input(1)?, node.optional(2)?)?;
    if !node.has_output(1) && !node.has_output(2) {
        return one(result);
    }
    let inverse = cx.unary(Op::Recip, &normalized.deviation)?;
    Ok(vec![result, normalized.mean, inverse])
}

fn rms_normalization(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (rank, dtype) = (cx.rank(x), cx.dtype(x));
    let axes: Vec<usize> = (axis(node.int("axis", -1), rank)?..rank).collect();
    let wide = cx.cast(x, statistics_dtype(cx, node, x))?;
    let result = root_mean_square(cx, &wide, &axes, node.float("epsilon", 1e-5))?;
    let result = cx.cast(&result, dtype)?;
    one(affine(cx, &result, node.input(1)?, None)?)
}

/// Divides by the root of the mean square along axes.
pub(super) fn root_mean_square(cx: &mut Importer, x: &Operand, axes: &[usize], epsilon: f64) -> NodeResult<Operand> {
    let squares = cx.mul(x, x)?;
    let mean = cx.reduce(Op::ReduceMean, &squares, axes)?;
    let deviation = deviation(cx, &mean, epsilon)?;
    cx.div(x, &deviation)
}

fn instance_normalization(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let axes: Vec<usize> = (2..rank).collect();
    let normalized = normalize(cx, x, &axes, node.float("epsilon", 1e-5))?;
    let (scale, bias) = (per_channel(cx, node.input(1)?, rank)?, per_channel(cx, node.input(2)?, rank)?);
    one(affine(cx, &normalized.result, &scale, Some(&bias))?)
}

fn group_normalization(cx: &mut Importer, node: &Node) -> Results {
    const PER_CHANNEL_SINCE: i64 = 21;
    let x = node.input(0)?;
    let dims = cx.dims(x);
    let groups = node.int("num_groups", 0);
    if groups < 1 || dims.len() < 2 || !dims[1].is_multiple_of(groups) {
        return invalid(format!("{groups} groups do not fit the shape {dims:?}"));
    }
    let split = [&[dims[0].clone(), groups.into(), dims[1].floor_div(groups)], &dims[2..]].concat();
    let grouped = cx.reshape(x, &split)?;
    let axes: Vec<usize> = (2..split.len()).collect();
    let normalized = normalize(cx, &grouped, &axes, node.float("epsilon", 1e-5))?.result;
    let shaped = if node.opset < PER_CHANNEL_SINCE { normalized } else { cx.reshape(&normalized, &dims)? };
    let rank = cx.rank(&shaped);
    let (scale, bias) = (per_channel(cx, node.input(1)?, rank)?, per_channel(cx, node.input(2)?, rank)?);
    let result = affine(cx, &shaped, &scale, Some(&bias))?;
    one(cx.reshape(&result, &dims)?)
}

fn mean_variance(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let list = node.ints("axes").unwrap_or(vec![0, 2, 3]);
    let axes = crate::onnx::node::axes(&list, cx.rank(x))?;
    one(normalize(cx, x, &axes, 1e-9)?.result)
}

fn lp_normalization(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let axis = axis(node.int("axis", -1), cx.rank(x))?;
    let norm = if node.int("p", 2) == 1 {
        let magnitudes = cx.unary(Op::Abs, x)?;
        cx.reduce(Op::ReduceSum, &magnitudes, &[axis])?
    } else {
        let squares = cx.mul(x, x)?;
        let sum = cx.reduce(Op::ReduceSum, &squares, &[axis])?;
        cx.unary(Op::Sqrt, &sum)?
    };
    let is_zero = cx.with_scalar(Op::Equal, &norm, 0.0)?;
    let one_item = cx.scalar_like(x, 1.0)?;
    let divisor = cx.select(&is_zero, &one_item, &norm)?;
    one(cx.div(x, &divisor)?)
}

fn local_response(cx: &mut Importer, node: &Node) -> Results {
    const MAX_SIZE: i64 = 1024;
    let x = node.input(0)?;
    let (dims, size) = (cx.dims(x), node.int("size", 1));
    if dims.len() < 2 || !(1..=MAX_SIZE).contains(&size) {
        return invalid(format!("a window of {size} channels does not fit the shape {dims:?}"));
    }
    let squares = cx.mul(x, x)?;
    let (mut before, mut after) = (vec![Dim::constant(0); dims.len()], vec![Dim::constant(0); dims.len()]);
    (before[1], after[1]) = (((size - 1) / 2).into(), (size - 1 - (size - 1) / 2).into());
    let padded = cx.pad(&squares, before, after, "constant", 0.0)?;
    let mut sum = cx.slice_axis(&padded, 1, AxisSlice::new(0, dims[1].clone()))?;
    for start in 1..size {
        let part = cx.slice_axis(&padded, 1, AxisSlice::new(start, dims[1].clone()))?;
        sum = cx.add(&sum, &part)?;
    }
    let scaled = cx.with_scalar(Op::Mul, &sum, node.float("alpha", 0.0001) / size as f64)?;
    let shifted = cx.with_scalar(Op::Add, &scaled, node.float("bias", 1.0))?;
    let divisor = cx.with_scalar(Op::Pow, &shifted, node.float("beta", 0.75))?;
    one(cx.div(x, &divisor)?)
}

/// The axes over which softmax and its relatives normalize: older versions treat all axes from the given one on as one.
fn softmax_axes(cx: &Importer, node: &Node) -> NodeResult<Vec<usize>> {
    let rank = cx.rank(node.input(0)?);
    if node.opset >= 13 {
        return Ok(vec![axis(node.int("axis", -1), rank)?]);
    }
    Ok((axis(node.int("axis", 1), rank)?..rank).collect())
}

fn shifted(cx: &mut Importer, x: &Operand, axes: &[usize]) -> NodeResult<Operand> {
    let largest = cx.reduce(Op::ReduceMax, x, axes)?;
    cx.sub(x, &largest)
}

fn softmax(cx: &mut Importer, node: &Node) -> Results {
    let axes = softmax_axes(cx, node)?;
    one(softmax_over(cx, node.input(0)?, &axes)?)
}

pub(super) fn softmax_over(cx: &mut Importer, x: &Operand, axes: &[usize]) -> NodeResult<Operand> {
    let shifted = shifted(cx, x, axes)?;
    let exponents = cx.unary(Op::Exp, &shifted)?;
    let sum = cx.reduce(Op::ReduceSum, &exponents, axes)?;
    cx.div(&exponents, &sum)
}

fn log_softmax(cx: &mut Importer, node: &Node) -> Results {
    let axes = softmax_axes(cx, node)?;
    let shifted = shifted(cx, node.input(0)?, &axes)?;
    let exponents = cx.unary(Op::Exp, &shifted)?;
    let sum = cx.reduce(Op::ReduceSum, &exponents, &axes)?;
    let log = cx.unary(Op::Log, &sum)?;
    one(cx.sub(&shifted, &log)?)
}

fn hardmax(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let axes = softmax_axes(cx, node)?;
    let (dims, dtype) = (cx.dims(x), cx.dtype(x));
    let Some(first) = axes.first().copied() else { return invalid("an axis is expected") };
    let flat = cx.merge_axes(x, first, first + axes.len())?;
    let largest = position_of(cx, Op::ReduceMax, &flat, first, false)?;
    let positions = coordinate(cx, &flat, first)?;
    let hit = cx.binary(Op::Equal, &positions, &largest)?;
    let hit = cx.cast(&hit, dtype)?;
    one(cx.reshape(&hit, &dims)?)
}
