//! Searching along an axis: the position of the largest element, and the largest few.

use super::reduce::finish;
use super::shape::sizes;
use super::{Importer, Node, Operator, Results};
use crate::onnx::known::Known;
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, invalid};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("ArgMax", |cx, node| arg(cx, node, Op::ReduceMax)),
    Operator::standard("ArgMin", |cx, node| arg(cx, node, Op::ReduceMin)),
    Operator::standard("TopK", top_k),
];

fn arg(cx: &mut Importer, node: &Node, op: Op) -> Results {
    let x = node.input(0)?;
    let axis = axis(node.int("axis", 0), cx.rank(x))?;
    let found = position_of(cx, op, x, axis, node.flag("select_last_index", false))?;
    finish(cx, node, &found, &[axis])
}

/// The coordinate along one axis, with the rank of `x` and size 1 elsewhere.
pub(super) fn coordinate(cx: &mut Importer, x: &Operand, axis: usize) -> NodeResult<Operand> {
    let mut dims = vec![Dim::constant(1); cx.rank(x)];
    dims[axis] = cx.dims(x)[axis].clone();
    cx.iota(DType::I64, &dims, axis)
}

/// Whether elements are not numbers; false for integers.
fn is_nan(cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
    if cx.dtype(x).is_float() { cx.unary(Op::IsNan, x) } else { cx.scalar(DType::Bool, 0.0) }
}

/// The first or last position along an axis, which stays with size 1, of the element that the reduction `op` gives. What is
/// not a number counts as that element.
pub(super) fn position_of(cx: &mut Importer, op: Op, x: &Operand, axis: usize, last: bool) -> NodeResult<Operand> {
    let size = cx.dims(x)[axis].clone();
    if size.is(0) {
        return invalid(format!("axis {axis} of {} has no elements", cx.ty(x)));
    }
    let best = cx.reduce(op, x, &[axis])?;
    let (equal, nan) = (cx.binary(Op::Equal, x, &best)?, is_nan(cx, x)?);
    let hit = cx.binary(Op::Or, &equal, &nan)?;
    let positions = coordinate(cx, x, axis)?;
    let none: Operand = Known::scalar(DType::I64, if last { (-1).into() } else { size }).into();
    let candidates = cx.select(&hit, &positions, &none)?;
    cx.reduce(if last { Op::ReduceMax } else { Op::ReduceMin }, &candidates, &[axis])
}

/// Moves an axis to the end.
fn axis_last(cx: &mut Importer, x: &Operand, axis: usize) -> NodeResult<Operand> {
    let perm: Vec<usize> = (0..cx.rank(x)).filter(|other| *other != axis).chain([axis]).collect();
    cx.transpose(x, &perm)
}

/// Moves the last axis to `axis`.
fn axis_back(cx: &mut Importer, x: &Operand, axis: usize) -> NodeResult<Operand> {
    let last = cx.rank(x) - 1;
    let perm: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
    cx.transpose(x, &perm)
}

/// Inserts an axis of size 1.
fn insert_axis(cx: &mut Importer, x: &Operand, axis: usize) -> NodeResult<Operand> {
    let mut dims = cx.dims(x);
    dims.insert(axis, 1.into());
    cx.reshape(x, &dims)
}

/// For each element along the last axis, how many come before it when that axis is sorted. What is not a number counts as
/// largest; equal elements keep their order.
fn ranks(cx: &mut Importer, x: &Operand, largest: bool) -> NodeResult<Operand> {
    let last = cx.rank(x) - 1;
    let (own, other) = (insert_axis(cx, x, last + 1)?, insert_axis(cx, x, last)?);
    let (low, high) = if largest { (&own, &other) } else { (&other, &own) };
    let (low_nan, high_nan) = (is_nan(cx, low)?, is_nan(cx, high)?);
    let number = cx.unary(Op::Not, &low_nan)?;
    let nan_above = cx.binary(Op::And, &number, &high_nan)?;
    let (less, equal) = (cx.binary(Op::Less, low, high)?, cx.binary(Op::Equal, low, high)?);
    let both_nan = cx.binary(Op::And, &low_nan, &high_nan)?;
    let (above, equal) = (cx.binary(Op::Or, &less, &nan_above)?, cx.binary(Op::Or, &equal, &both_nan)?);
    let (own_position, other_position) = (coordinate(cx, &own, last)?, coordinate(cx, &other, last + 1)?);
    let earlier = cx.binary(Op::Less, &other_position, &own_position)?;
    let tie = cx.binary(Op::And, &equal, &earlier)?;
    let before = cx.binary(Op::Or, &above, &tie)?;
    let before = cx.cast(&before, DType::I64)?;
    cx.reduce(Op::ReduceSum, &before, &[last + 1])
}

/// Counts for each element the elements before it, and puts element of rank `r` at position `r`: quadratic in the axis' size,
/// without any order in which things must happen.
fn top_k(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let axis = axis(node.int("axis", -1), rank)?;
    let count = match node.has("k") {
        true => vec![Dim::constant(node.int("k", 0))],
        false => sizes(node.input(1)?, "the number of elements")?,
    };
    let [count] = count.as_slice() else { return invalid("the number of elements must be one number") };
    if count.prove_le(&cx.dims(x)[axis]) == Some(false) {
        return invalid(format!("{count} elements of an axis of {}", cx.dims(x)[axis]));
    }
    let moved = axis_last(cx, x, axis)?;
    let ranks = ranks(cx, &moved, node.flag("largest", true))?;
    let mut dims = vec![Dim::constant(1); rank + 1];
    dims[rank] = count.clone();
    let slots = cx.iota(DType::I64, &dims, rank)?;
    let hit = cx.binary(Op::Equal, &ranks, &slots)?;
    let column = insert_axis(cx, &moved, rank)?;
    let positions = coordinate(cx, &column, rank - 1)?;
    let values = picked(cx, &hit, &column, axis)?;
    Ok(vec![values, picked(cx, &hit, &positions, axis)?])
}

/// The elements that `hit` names, of which there is one for each slot of its last axis.
fn picked(cx: &mut Importer, hit: &Operand, x: &Operand, axis: usize) -> NodeResult<Operand> {
    let zero = cx.scalar_like(x, 0.0)?;
    let chosen = cx.select(hit, x, &zero)?;
    let (last, mut dims) = (cx.rank(&chosen) - 2, cx.dims(&chosen));
    let sum = cx.reduce(Op::ReduceSum, &chosen, &[last])?;
    dims.remove(last);
    let sum = cx.reshape(&sum, &dims)?;
    axis_back(cx, &sum, axis)
}
