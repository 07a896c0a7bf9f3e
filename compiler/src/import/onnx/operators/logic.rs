//! Comparisons, logic and selection.

use super::elementwise::{follow, operands};
use super::{Context, Entry, Node, Results, one};
use crate::import::onnx::item::Item;
use crate::import::onnx::number::Number;
use crate::import::onnx::problem::Outcome;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Entry] = &[
    ("And", "", |cx, node| compare(cx, node, Op::And, Number::and)),
    ("BitwiseAnd", "", |cx, node| bitwise(cx, node, Op::And)),
    ("BitwiseOr", "", |cx, node| bitwise(cx, node, Op::Or)),
    ("BitwiseXor", "", |cx, node| bitwise(cx, node, Op::Xor)),
    ("Equal", "", |cx, node| compare(cx, node, Op::Equal, Number::equal)),
    ("Greater", "", |cx, node| swapped(cx, node, Op::Less, Number::less)),
    ("GreaterOrEqual", "", |cx, node| swapped(cx, node, Op::LessEqual, Number::less_equal)),
    ("IsInf", "", is_inf),
    ("IsNaN", "", |cx, node| super::elementwise::unary(cx, node, Op::IsNan)),
    ("Less", "", |cx, node| compare(cx, node, Op::Less, Number::less)),
    ("LessOrEqual", "", |cx, node| compare(cx, node, Op::LessEqual, Number::less_equal)),
    ("Not", "", not),
    ("Or", "", |cx, node| compare(cx, node, Op::Or, Number::or)),
    ("Where", "", choose),
    ("Xor", "", |cx, node| compare(cx, node, Op::Xor, Number::xor)),
];

type Fold = fn(&Number, &Number) -> Option<Number>;

fn compare_items(cx: &mut Context, op: Op, fold: Fold, a: &Item, b: &Item) -> Outcome<Item> {
    if let Some([left, right]) = follow(cx, &[a, b]).as_deref()
        && let Some(known) = left.zip(right, DType::Bool, fold)
    {
        return Ok(known.into());
    }
    cx.binary(op, a, b)
}

fn compare(cx: &mut Context, node: &Node, op: Op, fold: Fold) -> Results {
    let (a, b) = operands(cx, node)?;
    one(compare_items(cx, op, fold, &a, &b)?)
}

fn swapped(cx: &mut Context, node: &Node, op: Op, fold: Fold) -> Results {
    let (a, b) = operands(cx, node)?;
    one(compare_items(cx, op, fold, &b, &a)?)
}

fn bitwise(cx: &mut Context, node: &Node, op: Op) -> Results {
    one(cx.binary(op, node.input(0)?, node.input(1)?)?)
}

fn not(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    match x.known().and_then(|known| known.map(DType::Bool, Number::not)) {
        Some(known) => one(known.into()),
        None => one(cx.unary(Op::Not, x)?),
    }
}

fn is_inf(cx: &mut Context, node: &Node) -> Results {
    let x = node.input(0)?;
    let positive = cx.with_scalar(Op::Equal, x, f64::INFINITY)?;
    let negative = cx.with_scalar(Op::Equal, x, f64::NEG_INFINITY)?;
    one(match (node.flag("detect_positive", true), node.flag("detect_negative", true)) {
        (true, false) => positive,
        (false, true) => negative,
        (true, true) => cx.binary(Op::Or, &positive, &negative)?,
        (false, false) => cx.binary(Op::And, &positive, &negative)?,
    })
}

fn choose(cx: &mut Context, node: &Node) -> Results {
    let (cond, x, y) = (node.input(0)?, node.input(1)?, node.input(2)?);
    if let Some(item) = choose_known(cx, cond, x, y) {
        return one(item);
    }
    one(cx.select(cond, x, y)?)
}

/// Elements picked by a known condition from known operands: either side becomes 0 where the other one is picked.
fn choose_known(cx: &Context, cond: &Item, x: &Item, y: &Item) -> Option<Item> {
    let cond = cond.known()?;
    let known = follow(cx, &[x, y])?;
    let [x, y] = known.as_slice() else { return None };
    let keep = |flag: &Number, value: &Number| flag.mul(value);
    let left = cond.zip(x, x.dtype, keep)?;
    let right = cond.map(DType::Bool, Number::not)?.zip(y, y.dtype, keep)?;
    left.zip(&right, x.dtype, Number::add).map(Item::from)
}
