//! Arithmetic and functions of single elements.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, unsupported};
use crate::onnx::number::Number;
use crate::onnx::operand::Operand;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Abs", |cx, node| folded_unary(cx, node, Op::Abs, Number::abs)),
    Operator::standard("Add", |cx, node| folded_binary(cx, node, Op::Add, Number::add)),
    Operator::standard("Ceil", |cx, node| folded_unary(cx, node, Op::Ceil, Number::ceil)),
    Operator::standard("Cos", |cx, node| unary(cx, node, Op::Cos)),
    Operator::standard("Div", divide),
    Operator::standard("Erf", |cx, node| unary(cx, node, Op::Erf)),
    Operator::standard("Exp", |cx, node| unary(cx, node, Op::Exp)),
    Operator::standard("Floor", |cx, node| folded_unary(cx, node, Op::Floor, Number::floor)),
    Operator::standard("Log", |cx, node| unary(cx, node, Op::Log)),
    Operator::standard("Max", |cx, node| chain(cx, node, Op::Maximum, Number::maximum)),
    Operator::standard("Mean", mean),
    Operator::standard("Min", |cx, node| chain(cx, node, Op::Minimum, Number::minimum)),
    Operator::standard("Mod", modulo),
    Operator::standard("Mul", |cx, node| folded_binary(cx, node, Op::Mul, Number::mul)),
    Operator::standard("Neg", |cx, node| folded_unary(cx, node, Op::Neg, Number::neg)),
    Operator::standard("Pow", power),
    Operator::standard("Reciprocal", |cx, node| unary(cx, node, Op::Recip)),
    Operator::standard("Round", |cx, node| unary(cx, node, Op::Round)),
    Operator::standard("Sign", |cx, node| unary(cx, node, Op::Sign)),
    Operator::standard("Sin", |cx, node| unary(cx, node, Op::Sin)),
    Operator::standard("Sqrt", |cx, node| unary(cx, node, Op::Sqrt)),
    Operator::standard("Sub", |cx, node| folded_binary(cx, node, Op::Sub, Number::sub)),
    Operator::standard("Sum", |cx, node| chain(cx, node, Op::Add, Number::add)),
    Operator::standard("Tan", |cx, node| unary(cx, node, Op::Tan)),
    Operator::standard("Tanh", |cx, node| unary(cx, node, Op::Tanh)),
];

type Fold1 = fn(&Number) -> Option<Number>;
type Fold2 = fn(&Number, &Number) -> Option<Number>;

pub(super) fn unary(cx: &mut Importer, node: &Node, op: Op) -> Results {
    let result = cx.unary(op, node.input(0)?)?;
    one(result)
}

fn folded_unary(cx: &mut Importer, node: &Node, op: Op, fold: Fold1) -> Results {
    let x = node.input(0)?;
    let folded = follow(cx, &[x]).and_then(|known| known.first()?.map(known.first()?.dtype, fold));
    match folded {
        Some(known) => one(known.into()),
        None => unary(cx, node, op),
    }
}

/// The numbers of operands, if arithmetic on them is to be done at import: integers, and whatever comes from shapes.
pub(super) fn follow(cx: &Importer, items: &[&Operand]) -> Option<Vec<Known>> {
    let integral = items.iter().all(|item| !cx.dtype(item).is_float());
    let wanted = integral || items.iter().any(|item| item.is_computed());
    if wanted { items.iter().map(|item| item.known()).collect() } else { None }
}

/// An elementwise op on two items, done at once on numbers that come from shapes.
pub(super) fn combine(cx: &mut Importer, op: Op, fold: Fold2, a: &Operand, b: &Operand) -> NodeResult<Operand> {
    if let Some([left, right]) = follow(cx, &[a, b]).as_deref()
        && let Some(known) = left.zip(right, left.dtype, fold)
    {
        return Ok(known.into());
    }
    cx.binary(op, a, b)
}

/// Both operands. Before opset 7 an attribute tells the axis at which the second one meets the first.
pub(super) fn operands(cx: &mut Importer, node: &Node) -> NodeResult<(Operand, Operand)> {
    const NUMPY_BROADCASTING_SINCE: i64 = 7;
    let (a, b) = (node.input(0)?.clone(), node.input(1)?.clone());
    if node.opset >= NUMPY_BROADCASTING_SINCE || !node.has("axis") {
        return Ok((a, b));
    }
    let (rank, mut dims) = (cx.rank(&a), cx.dims(&b));
    let start = axis(node.int("axis", 0), rank)?;
    dims.resize(dims.len().max(rank - start), 1.into());
    let b = cx.reshape(&b, &dims)?;
    Ok((a, b))
}

fn folded_binary(cx: &mut Importer, node: &Node, op: Op, fold: Fold2) -> Results {
    let (a, b) = operands(cx, node)?;
    one(combine(cx, op, fold, &a, &b)?)
}

fn divide(cx: &mut Importer, node: &Node) -> Results {
    let (a, b) = &operands(cx, node)?;
    let fold = if cx.dtype(a).is_float() { Number::div } else { Number::div_integer };
    one(combine(cx, Op::Div, fold, a, b)?)
}

fn chain(cx: &mut Importer, node: &Node, op: Op, fold: Fold2) -> Results {
    let items = node.all()?;
    let mut total = node.input(0)?.clone();
    for item in items.get(1..).unwrap_or(&[]) {
        total = combine(cx, op, fold, &total, item)?;
    }
    one(total)
}

fn mean(cx: &mut Importer, node: &Node) -> Results {
    let items = node.all()?;
    let total = chain(cx, node, Op::Add, Number::add)?;
    let total = total.first().cloned().unwrap_or(node.input(0)?.clone());
    one(cx.with_scalar(Op::Mul, &total, 1.0 / items.len() as f64)?)
}

fn modulo(cx: &mut Importer, node: &Node) -> Results {
    let (a, b) = (node.input(0)?, node.input(1)?);
    if node.flag("fmod", false) {
        return one(cx.binary(Op::Remainder, a, b)?);
    }
    one(combine(cx, Op::Modulo, Number::modulo, a, b)?)
}

/// The nearest integer where the value is at most a rounding error away from it, so that it does not become the next lower one.
fn without_rounding_error(cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
    const ERROR: f64 = 1e-9;
    let nearest = cx.unary(Op::Round, x)?;
    let (distance, size) = (cx.sub(x, &nearest)?, cx.unary(Op::Abs, x)?);
    let (distance, error) = (cx.unary(Op::Abs, &distance)?, cx.with_scalar(Op::Mul, &size, ERROR)?);
    let is_near = cx.binary(Op::LessEqual, &distance, &error)?;
    cx.select(&is_near, &nearest, x)
}

fn power(cx: &mut Importer, node: &Node) -> Results {
    const MAX_PRODUCT: f64 = 16.0;
    let (x, exponent) = &operands(cx, node)?;
    let dtype = cx.dtype(x);
    if dtype.is_float() {
        let exponent = cx.cast(exponent, dtype)?;
        return one(cx.binary(Op::Pow, x, &exponent)?);
    }
    match exponent.floats().as_deref() {
        Some([power]) if power.fract() == 0.0 && (0.0..=MAX_PRODUCT).contains(power) && cx.rank(exponent) == 0 => {
            let mut result = cx.scalar(dtype, 1.0)?;
            for _ in 0..*power as usize {
                result = cx.mul(&result, x)?;
            }
            one(result)
        }
        _ if dtype.is_integer() => {
            let (x, exponent) = (cx.cast(x, DType::F64)?, cx.cast(exponent, DType::F64)?);
            let result = cx.binary(Op::Pow, &x, &exponent)?;
            let result = without_rounding_error(cx, &result)?;
            one(cx.cast(&result, dtype)?)
        }
        _ => unsupported(format!("powers of {dtype} are not supported")),
    }
}
