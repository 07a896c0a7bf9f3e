//! Normalizations.

use super::search::{coordinate, position_of};
use super::{Context, Entry, Node, Results, one};
use crate::onnx::item::Item;
use crate::onnx::movement::Range;
use crate::onnx::node::axis;
use crate::onnx::problem::{Outcome, invalid, unsupported};
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Entry] = &[
    ("BatchNormalization", "", batch_normalization),
    ("GroupNormalization", "", group_normalization),
    ("Hardmax", "", hardmax),
    ("InstanceNormalization", "", instance_normalization),
    ("LRN", "", local_response),
    ("LayerNormalization", "", layer_normalization),
    ("LogSoftmax", "", log_softmax),
    ("LpNormalization", "", lp_normalization),
    ("MeanVarianceNormalization", "", mean_variance),
    ("RMSNormalization", "", rms_normalization),
    ("SimplifiedLayerNormalization", "", rms_normalization),
    ("Softmax", "", softmax),
];

/// A parameter of each channel, shaped to meet an operand of rank `rank`.
fn per_channel(cx: &mut Context, parameter: &Item, rank: usize) -> Outcome<Item> {
    let mut dims = cx.dims(parameter);
    dims.resize(rank.saturating_sub(1).max(dims.len()), 1.into());
    cx.reshape(parameter, &dims)
}

fn batch_normalization(cx: &mut Context, node: &Node) -> Results {
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

fn deviation(cx: &mut Context, variance: &Item, epsilon: f64) -> Outcome<Item> {
    let sum = cx.with_scalar(Op::Add, variance, epsilon)?;
    cx.unary(Op::Sqrt, &sum)
}

pub(super) struct Normalized {
    pub(super) result: Item,
    pub(super) mean: Item,
    pub(super) deviation: Item,
}

/// Subtracts the mean along axes and divides by the standard deviation.
pub(super) fn normalize(cx: &mut Context, x: &Item, axes: &[usize], epsilon: f64) -> Outcome<Normalized> {
    let mean = cx.reduce(Op::ReduceMean, x, axes)?;
    let centered = cx.sub(x, &mean)?;
    let squares = cx.mul(&centered, &centered)?;
    let variance = cx.reduce(Op::ReduceMean, &squares, axes)?;
    let deviation = deviation(cx, &variance, epsilon)?;
    Ok(Normalized { result: cx.div(&centered, &deviation)?, mean, deviation })
}

pub(super) fn affine(cx: &mut Context, x: &Item, scale: &Item, bias: Option<&Item>) -> Outcome<Item> {
    let scaled = cx.mul(x, scale)?;
    match bias {
        Some(bias) => cx.add(&scaled, bias),
        None => Ok(scaled),
    }
}

/// The element type in which statistics are computed.
fn statistics_dtype(cx: &Context, node: &Node, x: &Item) -> DType {
    if node.int("stash_type", 1) == 1 && cx.dtype(x) != DType::F64 { DType::F32 } else { cx.dtype(x) }
}

fn layer_normalization(cx: &mut Context, node: &Node) -> Results {
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

fn rms_normalization(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    let (rank, dtype) = (cx.rank(x), cx.dtype(x));
    let axes: Vec<usize> = (axis(node.int("axis", -1), rank)?..rank).collect();
    let wide = cx.cast(x, statistics_dtype(cx, node, x))?;
    let result = root_mean_square(cx, &wide, &axes, node.float("epsilon", 1e-5))?;
    let result = cx.cast(&result, dtype)?;
    one(affine(cx, &result, node.input(1)?, None)?)
}

/// Divides by the root of the mean square along axes.
pub(super) fn root_mean_square(cx: &mut Context, x: &Item, axes: &[usize], epsilon: f64) -> Outcome<Item> {
    let squares = cx.mul(x, x)?;
    let mean = cx.reduce(Op::ReduceMean, &squares, axes)?;
    let deviation = deviation(cx, &mean, epsilon)?;
    cx.div(x, &deviation)
}

fn instance_normalization(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let axes: Vec<usize> = (2..rank).collect();
    let normalized = normalize(cx, x, &axes, node.float("epsilon", 1e-5))?;
    let (scale, bias) = (per_channel(cx, node.input(1)?, rank)?, per_channel(cx, node.input(2)?, rank)?);
    one(affine(cx, &normalized.result, &scale, Some(&bias))?)
}

fn group_normalization(cx: &mut Context, node: &Node) -> Results {
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

fn mean_variance(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    let list = node.ints("axes").unwrap_or(vec![0, 2, 3]);
    let axes = crate::onnx::node::axes(&list, cx.rank(x))?;
    one(normalize(cx, x, &axes, 1e-9)?.result)
}

fn lp_normalization(cx: &mut Context, node: &Node) -> Results {
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

fn local_response(cx: &mut Context, node: &Node) -> Results {
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
    let mut sum = cx.slice_axis(&padded, 1, Range::new(0, dims[1].clone()))?;
    for start in 1..size {
        let part = cx.slice_axis(&padded, 1, Range::new(start, dims[1].clone()))?;
        sum = cx.add(&sum, &part)?;
    }
    let scaled = cx.with_scalar(Op::Mul, &sum, node.float("alpha", 0.0001) / size as f64)?;
    let shifted = cx.with_scalar(Op::Add, &scaled, node.float("bias", 1.0))?;
    let divisor = cx.with_scalar(Op::Pow, &shifted, node.float("beta", 0.75))?;
    one(cx.div(x, &divisor)?)
}

/// The axes over which softmax and its relatives normalize: older versions treat all axes from the given one on as one.
fn softmax_axes(cx: &Context, node: &Node) -> Outcome<Vec<usize>> {
    let rank = cx.rank(node.input(0)?);
    if node.opset >= 13 {
        return Ok(vec![axis(node.int("axis", -1), rank)?]);
    }
    Ok((axis(node.int("axis", 1), rank)?..rank).collect())
}

fn shifted(cx: &mut Context, x: &Item, axes: &[usize]) -> Outcome<Item> {
    let largest = cx.reduce(Op::ReduceMax, x, axes)?;
    cx.sub(x, &largest)
}

fn softmax(cx: &mut Context, node: &Node) -> Results {
    let axes = softmax_axes(cx, node)?;
    one(softmax_over(cx, node.input(0)?, &axes)?)
}

pub(super) fn softmax_over(cx: &mut Context, x: &Item, axes: &[usize]) -> Outcome<Item> {
    let shifted = shifted(cx, x, axes)?;
    let exponents = cx.unary(Op::Exp, &shifted)?;
    let sum = cx.reduce(Op::ReduceSum, &exponents, axes)?;
    cx.div(&exponents, &sum)
}

fn log_softmax(cx: &mut Context, node: &Node) -> Results {
    let axes = softmax_axes(cx, node)?;
    let shifted = shifted(cx, node.input(0)?, &axes)?;
    let exponents = cx.unary(Op::Exp, &shifted)?;
    let sum = cx.reduce(Op::ReduceSum, &exponents, &axes)?;
    let log = cx.unary(Op::Log, &sum)?;
    one(cx.sub(&shifted, &log)?)
}

fn hardmax(cx: &mut Context, node: &Node) -> Results {
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
