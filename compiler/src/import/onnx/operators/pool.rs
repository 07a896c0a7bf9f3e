//! Pooling.

use super::window::{Window, positive_list};
use super::{Context, Entry, Node, Results, one};
use crate::import::onnx::item::Item;
use crate::import::onnx::movement::{Range, smaller};
use crate::import::onnx::problem::{Outcome, Problem};
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;

pub(super) const OPERATORS: &[Entry] = &[
    ("AveragePool", "", average_pool),
    ("GlobalAveragePool", "", |cx, node| global(cx, node, Op::ReduceMean)),
    ("GlobalMaxPool", "", |cx, node| global(cx, node, Op::ReduceMax)),
    ("MaxPool", "", max_pool),
];

fn global(cx: &mut Context, node: &Node, op: Op) -> Results {
    let x = node.input(0)?;
    let axes: Vec<usize> = (2..cx.rank(x)).collect();
    one(cx.reduce(op, x, &axes)?)
}

fn window_of(cx: &Context, node: &Node) -> Outcome<Window> {
    let count = node.ints("kernel_shape").map_or(0, |shape| shape.len());
    if count == 0 {
        return Err(Problem::Invalid("`kernel_shape` is missing".to_string()));
    }
    Window::new(cx, node, node.input(0)?, positive_list(node, "kernel_shape", count, 1)?)
}

fn max_pool(cx: &mut Context, node: &Node) -> Results {
    let mut window = window_of(cx, node)?;
    let x = window.fix_padding(cx, node.input(0)?, f64::NEG_INFINITY)?;
    let limits = if node.flag("ceil_mode", false) { round_up(&mut window, &cx.dims(&x)[2..]) } else { Vec::new() };
    let attrs = window.attrs()?.with("kernel", window.kernel.clone());
    let result = cx.node(Op::MaxPool, attrs, &[&x])?;
    one(cut(cx, &result, &limits)?)
}

fn average_pool(cx: &mut Context, node: &Node) -> Results {
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
    let result = cx.node(Op::AvgPool, attrs, &[&x])?;
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

fn cut(cx: &mut Context, x: &Item, limits: &[Option<Dim>]) -> Outcome<Item> {
    let mut result = x.clone();
    for (i, limit) in limits.iter().enumerate() {
        if let Some(limit) = limit {
            let size = smaller(&cx.dims(&result)[i + 2], limit);
            result = cx.slice_axis(&result, i + 2, Range::new(0, size))?;
        }
    }
    Ok(result)
}
