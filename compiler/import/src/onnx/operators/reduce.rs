//! Reductions.

use super::{Context, Entry, Node, Results, one};
use crate::onnx::item::Item;
use crate::onnx::known::Known;
use crate::onnx::node::{axes, axis};
use crate::onnx::number::Number;
use crate::onnx::problem::{Outcome, unsupported};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Entry] = &[
    ("CumSum", "", cumsum),
    ("ReduceL1", "", |cx, node| mapped(cx, node, Some(Op::Abs), None)),
    ("ReduceL2", "", |cx, node| squares(cx, node, Some(Op::Sqrt))),
    ("ReduceLogSum", "", |cx, node| mapped(cx, node, None, Some(Op::Log))),
    ("ReduceLogSumExp", "", log_sum_exp),
    ("ReduceMax", "", |cx, node| simple(cx, node, Op::ReduceMax, Number::maximum)),
    ("ReduceMean", "", |cx, node| plain(cx, node, Op::ReduceMean)),
    ("ReduceMin", "", |cx, node| simple(cx, node, Op::ReduceMin, Number::minimum)),
    ("ReduceProd", "", |cx, node| simple(cx, node, Op::ReduceProd, Number::mul)),
    ("ReduceSum", "", |cx, node| simple(cx, node, Op::ReduceSum, Number::add)),
    ("ReduceSumSquare", "", |cx, node| squares(cx, node, None)),
];

fn reduced_axes(cx: &Context, node: &Node) -> Outcome<Vec<usize>> {
    let rank = cx.rank(node.input(0)?);
    let list = node.integers_or_attribute(1, "axes")?.unwrap_or_default();
    if list.is_empty() && !node.flag("noop_with_empty_axes", false) {
        return Ok((0..rank).collect());
    }
    axes(&list, rank)
}

/// Removes reduced axes unless they are to be kept.
pub(super) fn finish(cx: &mut Context, node: &Node, reduced: &Item, axes: &[usize]) -> Results {
    if node.flag("keepdims", true) {
        return one(reduced.clone());
    }
    let dims = cx.dims(reduced);
    let kept: Vec<Dim> = dims.into_iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim).collect();
    one(cx.reshape(reduced, &kept)?)
}

fn plain(cx: &mut Context, node: &Node, op: Op) -> Results {
    let axes = reduced_axes(cx, node)?;
    let (x, dtype) = (node.input(0)?, cx.dtype(node.input(0)?));
    let numbers = cx.cast(x, if dtype == DType::Bool { DType::U8 } else { dtype })?;
    let reduced = cx.reduce(op, &numbers, &axes)?;
    let reduced = cx.cast(&reduced, dtype)?;
    finish(cx, node, &reduced, &axes)
}

fn simple(cx: &mut Context, node: &Node, op: Op, fold: fn(&Number, &Number) -> Option<Number>) -> Results {
    if let Some(known) = node.input(0)?.known().filter(|known| known.shape.len() == 1 && !known.dtype.is_float())
        && let Some((first, rest)) = known.values.split_first()
        && reduced_axes(cx, node)? == [0]
        && let Some(total) = rest.iter().try_fold(first.clone(), |total, value| fold(&total, value))
    {
        let total: Item = Known::scalar(known.dtype, total).into();
        let dims: &[Dim] = if node.flag("keepdims", true) { &[Dim::constant(1)] } else { &[] };
        return one(cx.reshape(&total, dims)?);
    }
    plain(cx, node, op)
}

fn mapped(cx: &mut Context, node: &Node, before: Option<Op>, after: Option<Op>) -> Results {
    let axes = reduced_axes(cx, node)?;
    let mut x = node.input(0)?.clone();
    if let Some(op) = before {
        x = cx.unary(op, &x)?;
    }
    x = cx.reduce(Op::ReduceSum, &x, &axes)?;
    if let Some(op) = after {
        x = cx.unary(op, &x)?;
    }
    finish(cx, node, &x, &axes)
}

fn squares(cx: &mut Context, node: &Node, after: Option<Op>) -> Results {
    let axes = reduced_axes(cx, node)?;
    let x = node.input(0)?;
    let squares = cx.mul(x, x)?;
    let mut sum = cx.reduce(Op::ReduceSum, &squares, &axes)?;
    if let Some(op) = after {
        sum = cx.unary(op, &sum)?;
    }
    finish(cx, node, &sum, &axes)
}

fn log_sum_exp(cx: &mut Context, node: &Node) -> Results {
    let axes = reduced_axes(cx, node)?;
    let x = node.input(0)?;
    let largest = cx.reduce(Op::ReduceMax, x, &axes)?;
    let shifted = cx.sub(x, &largest)?;
    let exponents = cx.unary(Op::Exp, &shifted)?;
    let sum = cx.reduce(Op::ReduceSum, &exponents, &axes)?;
    let log = cx.unary(Op::Log, &sum)?;
    let result = cx.add(&log, &largest)?;
    finish(cx, node, &result, &axes)
}

fn cumsum(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    let given = node.integers(1, "the axis")?.unwrap_or_default();
    let [given] = given.as_slice() else { return unsupported("the axis must be a single number") };
    let axis = axis(*given, cx.rank(x))?;
    let attrs = Attrs::new().with("axis", axis as i64);
    let attrs = attrs.with("exclusive", node.flag("exclusive", false)).with("reverse", node.flag("reverse", false));
    one(cx.node(Op::Cumsum, attrs, &[x])?)
}
