//! Pooling.

use super::window::{Window, positive_list};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::movement::{AxisSlice, smaller};
use crate::onnx::node_error::{NodeError, NodeResult, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("AveragePool", average_pool),
    Operator::standard("GlobalAveragePool", |cx, node| global(cx, node, Op::ReduceMean)),
    Operator::standard("GlobalLpPool", global_power_pool),
    Operator::standard("GlobalMaxPool", |cx, node| global(cx, node, Op::ReduceMax)),
    Operator::standard("LpPool", power_pool),
    Operator::standard("MaxPool", max_pool),
];

fn global(cx: &mut Importer, node: &Node, op: Op) -> Results {
    let x = node.input(0)?;
    let axes: Vec<usize> = (2..cx.rank(x)).collect();
    one(cx.reduce(op, x, &axes)?)
}

pub(super) fn window_of(cx: &Importer, node: &Node) -> NodeResult<Window> {
    let count = node.ints("kernel_shape").map_or(0, |shape| shape.len());
    if count == 0 {
        return Err(NodeError::Invalid("`kernel_shape` is missing".to_string()));
    }
    Window::new(cx, node, node.input(0)?, positive_list(node, "kernel_shape", count, 1)?)
}

fn max_pool(cx: &mut Importer, node: &Node) -> Results {
    let mut window = window_of(cx, node)?;
    let x = window.fix_padding(cx, node.input(0)?, f64::NEG_INFINITY)?;
    let limits = if node.flag("ceil_mode", false) { round_up(&mut window, &cx.dims(&x)[2..]) } else { Vec::new() };
    let attrs = window.attrs()?.with("kernel", window.kernel.clone());
    let result = cx.op(Op::MaxPool, attrs, &[&x])?;
    let result = cut(cx, &result, &limits)?;
    if !node.has_output(1) {
        return one(result);
    }
    let found = positions(cx, node, &mut window, &x, &cx.dims(&result))?;
    Ok(vec![result, found])
}

/// The position in the flat image of the first largest element of each window.
fn positions(cx: &mut Importer, node: &Node, window: &mut Window, x: &Operand, dims: &[Dim]) -> NodeResult<Operand> {
    const MAX_TAPS: i64 = 1 << 10;
    let count = window.kernel.iter().fold(1i64, |count, size| count.saturating_mul(*size));
    if count > MAX_TAPS || !cx.dtype(x).is_float() {
        return unsupported(format!("positions of the largest of more than {MAX_TAPS} elements, or of integers"));
    }
    let sizes = cx.dims(x);
    let before = window.before.clone();
    let padded = window.pad_operand(cx, x, f64::NEG_INFINITY)?;
    let strides = image_strides(&sizes, node.flag("storage_order", false));
    let mut best: Option<(Operand, Operand)> = None;
    for number in 0..count {
        let offsets = tap(window, number);
        let mut ranges: Vec<AxisSlice> = sizes[..2].iter().map(AxisSlice::all).collect();
        let mut position = image_start(cx, dims, &strides)?;
        for (i, offset) in offsets.iter().enumerate() {
            let step = window.strides[i];
            ranges.push(AxisSlice { start: (*offset).into(), size: dims[i + 2].clone(), step });
            let place = cx.iota(DType::I64, dims, i + 2)?;
            let place = cx.with_scalar(Op::Mul, &place, step as f64)?;
            let shift: Operand = Known::scalar(DType::I64, Dim::constant(*offset) - before[i].clone()).into();
            let place = cx.add(&place, &shift)?;
            let stride: Operand = Known::scalar(DType::I64, strides[i + 2].clone()).into();
            let place = cx.mul(&place, &stride)?;
            position = cx.add(&position, &place)?;
        }
        let value = cx.slice(&padded, &ranges)?;
        best = Some(match best {
            None => (value, position),
            Some((largest, found)) => {
                let is_larger = cx.binary(Op::Less, &largest, &value)?;
                (cx.select(&is_larger, &value, &largest)?, cx.select(&is_larger, &position, &found)?)
            }
        });
    }
    best.map(|(_, found)| found).ok_or_else(|| NodeError::Invalid("the window has no elements".to_string()))
}

/// The offsets along the spatial axes of one element of the window.
fn tap(window: &Window, mut number: i64) -> Vec<i64> {
    let mut offsets = vec![0; window.kernel.len()];
    for (i, offset) in offsets.iter_mut().enumerate().rev() {
        *offset = number % window.kernel[i] * window.dilations[i];
        number /= window.kernel[i];
    }
    offsets
}

/// The distance of neighbours in the flat image; with columns first, the spatial axes are in the opposite order.
fn image_strides(sizes: &[Dim], columns_first: bool) -> Vec<Dim> {
    let mut strides: Vec<Dim> = (0..sizes.len()).map(|axis| lostwax_ir::dim::product(&sizes[axis + 1..])).collect();
    if columns_first {
        strides.iter_mut().enumerate().skip(2).for_each(|(axis, s)| *s = lostwax_ir::dim::product(&sizes[2..axis]));
    }
    strides
}

/// Where the image of each batch and channel starts.
fn image_start(cx: &mut Importer, dims: &[Dim], strides: &[Dim]) -> NodeResult<Operand> {
    let mut start = cx.scalar(DType::I64, 0.0)?;
    for (axis, stride) in strides.iter().take(2).enumerate() {
        let place = cx.iota(DType::I64, dims, axis)?;
        let stride: Operand = Known::scalar(DType::I64, stride.clone()).into();
        let place = cx.mul(&place, &stride)?;
        start = cx.add(&start, &place)?;
    }
    Ok(start)
}

/// `|x|` to the power of the node's `p`, and that number.
fn powers(cx: &mut Importer, node: &Node) -> NodeResult<(Operand, f64)> {
    let power = node.int("p", 2);
    if power < 1 {
        return Err(NodeError::Invalid(format!("the power {power}")));
    }
    let magnitude = cx.unary(Op::Abs, node.input(0)?)?;
    Ok((cx.with_scalar(Op::Pow, &magnitude, power as f64)?, power as f64))
}

fn global_power_pool(cx: &mut Importer, node: &Node) -> Results {
    let (x, power) = powers(cx, node)?;
    let axes: Vec<usize> = (2..cx.rank(&x)).collect();
    let sum = cx.reduce(Op::ReduceSum, &x, &axes)?;
    one(cx.with_scalar(Op::Pow, &sum, 1.0 / power)?)
}

/// The mean over the window with padding, times its size, is the sum.
fn power_pool(cx: &mut Importer, node: &Node) -> Results {
    let mut window = window_of(cx, node)?;
    let (x, power) = powers(cx, node)?;
    let x = window.pad_operand(cx, &x, 0.0)?;
    let limits = if node.flag("ceil_mode", false) { round_up(&mut window, &cx.dims(&x)[2..]) } else { Vec::new() };
    let attrs = window.attrs()?.with("kernel", window.kernel.clone()).with("count_include_pad", true);
    let mean = cx.op(Op::AvgPool, attrs, &[&x])?;
    let mean = cut(cx, &mean, &limits)?;
    let count = window.kernel.iter().fold(1.0, |count, size| count * *size as f64);
    let sum = cx.with_scalar(Op::Mul, &mean, count)?;
    one(cx.with_scalar(Op::Pow, &sum, 1.0 / power)?)
}

fn average_pool(cx: &mut Importer, node: &Node) -> Results {
    let mut window = window_of(cx, node)?;
    let mut x = node.input(0)?.clone();
    let mut counts_padding = node.flag("count_include_pad", false);
    let rounds_up = node.flag("ceil_mode", false);
    if counts_padding && rounds_up {
        x = window.pad_operand(cx, &x, 0.0)?;
        counts_padding = false;
    }
    let limits = if rounds_up { round_up(&mut window, &cx.dims(&x)[2..]) } else { Vec::new() };
    let attrs = window.attrs()?.with("kernel", window.kernel.clone()).with("count_include_pad", counts_padding);
    let result = cx.op(Op::AvgPool, attrs, &[&x])?;
    one(cut(cx, &result, &limits)?)
}

/// Adds padding such that a window that hangs over the end is counted, as long as it starts inside. Gives the largest number
/// of windows per axis where padding alone could make too many.
fn round_up(window: &mut Window, sizes: &[Dim]) -> Vec<Option<Dim>> {
    let limit = |(i, size): (usize, &Dim)| {
        let (span, stride) = (window.span(i), window.strides[i]);
        let padded = size.clone() + window.before[i].clone();
        let free = padded.clone() + window.after[i].clone() - span.into();
        let starts = (padded.clone() - 1.into()).floor_div(stride) + 1.into();
        if let (Some(free), Some(padded), Some(starts)) = (free.as_constant(), padded.as_constant(), starts.as_constant()) {
            let count = (free.div_euclid(stride) + i64::from(free.rem_euclid(stride) != 0) + 1).min(starts);
            window.after[i] = ((count - 1) * stride + span - padded).max(0).into();
            return None;
        }
        window.after[i] = window.after[i].clone() + (stride - 1).into();
        let always_inside = window.after[i].prove_le(&(span - 1).into()) == Some(true);
        (!always_inside).then_some(starts)
    };
    sizes.iter().enumerate().map(limit).collect()
}

fn cut(cx: &mut Importer, x: &Operand, limits: &[Option<Dim>]) -> NodeResult<Operand> {
    let mut result = x.clone();
    for (i, limit) in limits.iter().enumerate() {
        if let Some(limit) = limit {
            let size = smaller(&cx.dims(&result)[i + 2], limit);
            result = cx.slice_axis(&result, i + 2, AxisSlice::new(0, size))?;
        }
    }
    Ok(result)
}
