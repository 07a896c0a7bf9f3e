//! Comparisons, logic and selection.

use super::elementwise::{follow, operands};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::{NodeResult, unsupported};
use crate::onnx::number::Number;
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("And", |cx, node| compare(cx, node, Op::And, Number::and)),
    Operator::standard("BitShift", bit_shift),
    Operator::standard("BitwiseAnd", |cx, node| bitwise(cx, node, Op::And)),
    Operator::standard("BitwiseNot", bitwise_not),
    Operator::standard("BitwiseOr", |cx, node| bitwise(cx, node, Op::Or)),
    Operator::standard("BitwiseXor", |cx, node| bitwise(cx, node, Op::Xor)),
    Operator::standard("Equal", |cx, node| compare(cx, node, Op::Equal, Number::equal)),
    Operator::standard("Greater", |cx, node| swapped(cx, node, Op::Less, Number::less)),
    Operator::standard("GreaterOrEqual", |cx, node| swapped(cx, node, Op::LessEqual, Number::less_equal)),
    Operator::standard("IsInf", is_inf),
    Operator::standard("IsNaN", |cx, node| super::elementwise::unary(cx, node, Op::IsNan)),
    Operator::standard("Less", |cx, node| compare(cx, node, Op::Less, Number::less)),
    Operator::standard("LessOrEqual", |cx, node| compare(cx, node, Op::LessEqual, Number::less_equal)),
    Operator::standard("Not", not),
    Operator::standard("Or", |cx, node| compare(cx, node, Op::Or, Number::or)),
    Operator::standard("Where", choose),
    Operator::standard("Xor", |cx, node| compare(cx, node, Op::Xor, Number::xor)),
];

type Fold = fn(&Number, &Number) -> Option<Number>;

fn compare_items(cx: &mut Importer, op: Op, fold: Fold, a: &Operand, b: &Operand) -> NodeResult<Operand> {
    if let Some([left, right]) = follow(cx, &[a, b]).as_deref()
        && let Some(known) = left.zip(right, DType::Bool, fold)
    {
        return Ok(known.into());
    }
    cx.binary(op, a, b)
}

fn compare(cx: &mut Importer, node: &Node, op: Op, fold: Fold) -> Results {
    let (a, b) = operands(cx, node)?;
    one(compare_items(cx, op, fold, &a, &b)?)
}

fn swapped(cx: &mut Importer, node: &Node, op: Op, fold: Fold) -> Results {
    let (a, b) = operands(cx, node)?;
    one(compare_items(cx, op, fold, &b, &a)?)
}

fn bitwise(cx: &mut Importer, node: &Node, op: Op) -> Results {
    one(cx.binary(op, node.input(0)?, node.input(1)?)?)
}

fn bitwise_not(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let ones = if cx.dtype(x).is_signed_integer() { -1.0 } else { 2f64.powi(8 * cx.dtype(x).size() as i32) - 1.0 };
    let ones = match cx.dtype(x) {
        DType::U64 => cx.cast(&cx.scalar(DType::I64, -1.0)?, DType::U64)?,
        dtype => cx.scalar(dtype, ones)?,
    };
    one(cx.binary(Op::Xor, x, &ones)?)
}

/// Shifts of unsigned numbers: products and quotients with powers of two, which are looked up. Shifting all bits out gives 0.
fn bit_shift(cx: &mut Importer, node: &Node) -> Results {
    let (x, count) = (node.input(0)?, node.input(1)?);
    let dtype = cx.dtype(x);
    let bits = 8 * dtype.size();
    let powers: Vec<u64> = (0..bits).map(|bit| 1 << bit).collect();
    let table = Tensor::from_slice(DType::U64, &[bits], &powers).map(Operand::from);
    let Some(table) = table.filter(|_| dtype.is_integer() && !dtype.is_signed_integer()) else {
        return unsupported(format!("shifts of {dtype} are not supported"));
    };
    let table = cx.cast(&table, dtype)?;
    let places = cx.cast(count, DType::I64)?;
    let power = cx.op(Op::Gather, Attrs::new().with("axis", 0), &[&table, &places])?;
    let shifted = match node.text("direction", "").as_str() {
        "LEFT" => cx.mul(x, &power)?,
        "RIGHT" => cx.div(x, &power)?,
        other => return unsupported(format!("the direction `{other}` is not known")),
    };
    let fits = cx.with_scalar(Op::Less, &places, bits as f64)?;
    let zero = cx.scalar_like(x, 0.0)?;
    one(cx.select(&fits, &shifted, &zero)?)
}

fn not(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    match x.known().and_then(|known| known.map(DType::Bool, Number::not)) {
        Some(known) => one(known.into()),
        None => one(cx.unary(Op::Not, x)?),
    }
}

fn is_inf(cx: &mut Importer, node: &Node) -> Results {
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

fn choose(cx: &mut Importer, node: &Node) -> Results {
    let (cond, x, y) = (node.input(0)?, node.input(1)?, node.input(2)?);
    if let Some(item) = choose_known(cx, cond, x, y) {
        return one(item);
    }
    one(cx.select(cond, x, y)?)
}

/// Elements picked by a known condition from known operands: either side becomes 0 where the other one is picked.
fn choose_known(cx: &Importer, cond: &Operand, x: &Operand, y: &Operand) -> Option<Operand> {
    let cond = cond.known()?;
    let known = follow(cx, &[x, y])?;
    let [x, y] = known.as_slice() else { return None };
    let keep = |flag: &Number, value: &Number| flag.mul(value);
    let left = cond.zip(x, x.dtype, keep)?;
    let right = cond.map(DType::Bool, Number::not)?.zip(y, y.dtype, keep)?;
    left.zip(&right, x.dtype, Number::add).map(Operand::from)
}
