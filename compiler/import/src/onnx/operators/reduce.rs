//! Reductions.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::node::{axes, axis};
use crate::onnx::node_error::{NodeResult, unsupported};
use crate::onnx::number::Number;
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("CumSum", cumsum),
    Operator::standard("ReduceL1", |cx, node| mapped(cx, node, Some(Op::Abs), None)),
    Operator::standard("ReduceL2", |cx, node| squares(cx, node, Some(Op::Sqrt))),
    Operator::standard("ReduceLogSum", |cx, node| mapped(cx, node, None, Some(Op::Log))),
    Operator::standard("ReduceLogSumExp", log_sum_exp),
    Operator::standard("ReduceMax", |cx, node| simple(cx, node, Op::ReduceMax, Number::maximum)),
    Operator::standard("ReduceMean", |cx, node| plain(cx, node, Op::ReduceMean)),
    Operator::standard("ReduceMin", |cx, node| simple(cx, node, Op::ReduceMin, Number::minimum)),
    Operator::standard("ReduceProd", |cx, node| simple(cx, node, Op::ReduceProd, Number::mul)),
    Operator::standard("ReduceSum", |cx, node| simple(cx, node, Op::ReduceSum, Number::add)),
    Operator::standard("ReduceSumSquare", |cx, node| squares(cx, node, None)),
];

fn reduced_axes(cx: &Importer, node: &Node) -> NodeResult<Vec<usize>> {
    let rank = cx.rank(node.input(0)?);
    let list = node.integers_or_attribute(1, "axes")?.unwrap_or_default();
    if list.is_empty() && !node.flag("noop_with_empty_axes", false) {
        return Ok((0..rank).collect());
    }
    axes(&list, rank)
}

/// Removes reduced axes unless they are to be kept.
pub(super) fn finish(cx: &mut Importer, node: &Node, reduced: &Operand, axes: &[usize]) -> Results {
    if node.flag("keepdims", true) {
        return one(reduced.clone());
    }
    let dims = cx.dims(reduced);
    let kept: Vec<Dim> = dims.into_iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim).collect();
    one(cx.reshape(reduced, &kept)?)
}

fn plain(cx: &mut Importer, node: &Node, op: Op) -> Results {
    let axes = reduced_axes(cx, node)?;
    let (x, dtype) = (node.input(0)?, cx.dtype(node.input(0)?));
    let numbers = cx.cast(x, if dtype == DType::Bool { DType::U8 } else { dtype })?;
    let reduced = cx.reduce(op, &numbers, &axes)?;
    let reduced = cx.cast(&reduced, dtype)?;
    finish(cx, node, &reduced, &axes)
}

fn simple(cx: &mut Importer, node: &Node, op: Op, fold: fn(&Number, &Number) -> Option<Number>) -> Results {
    if let Some(known) = node.input(0)?.known().filter(|known| known.shape.len() == 1 && !known.dtype.is_float())
        && let Some((first, rest)) = known.values.split_first()
        && reduced_axes(cx, node)? == [0]
        && let Some(total) = rest.iter().try_fold(first.clone(), |total, value| fold(&total, value))
    {
        let total: Operand = Known::scalar(known.dtype, total).into();
        let dims: &[Dim] = if node.flag("keepdims", true) { &[Dim::constant(1)] } else { &[] };
        return one(cx.reshape(&total, dims)?);
    }
    plain(cx, node, op)
}

fn mapped(cx: &mut Importer, node: &Node, before: Option<Op>, after: Option<Op>) -> Results {
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

fn squares(cx: &mut Importer, node: &Node, after: Option<Op>) -> Results {
    let axes = reduced_axes(cx, node)?;
    let x = node.input(0)?;
    let squares = cx.mul(x, x)?;
    let mut sum = cx.reduce(Op::ReduceSum, &squares, &axes)?;
    if let Some(op) = after {
        sum = cx.unary(op, &sum)?;
    }
    finish(cx, node, &sum, &axes)
}

fn log_sum_exp(cx: &mut Importer, node: &Node) -> Results {
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

fn cumsum(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let given = node.integers(1, "the axis")?.unwrap_or_default();
    let [given] = given.as_slice() else { return unsupported("the axis must be a single number") };
    let axis = axis(*given, cx.rank(x))?;
    let attrs = Attrs::new().with("axis", axis as i64);
    let attrs = attrs.with("exclusive", node.flag("exclusive", false)).with("reverse", node.flag("reverse", false));
    one(cx.op(Op::Cumsum, attrs, &[x])?)
}
