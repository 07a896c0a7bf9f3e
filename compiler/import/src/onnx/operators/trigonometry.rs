//! Functions of angles and of the exponential function, expressed by those that are ops.

use super::elementwise::unary;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::NodeResult;
use crate::onnx::operand::Operand;
use lostwax_ir::ops::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Acos", acos),
    Operator::standard("Acosh", acosh),
    Operator::standard("Asin", asin),
    Operator::standard("Asinh", asinh),
    Operator::standard("Atan", |cx, node| unary(cx, node, Op::Atan)),
    Operator::standard("Atanh", atanh),
    Operator::standard("Cosh", |cx, node| one(hyperbolic_cosine(cx, node.input(0)?)?)),
    Operator::standard("Sinh", sinh),
];

/// `1 - x` and `1 + x`.
fn complement(cx: &mut Importer, x: &Operand) -> NodeResult<(Operand, Operand)> {
    Ok((cx.scalar_with(Op::Sub, 1.0, x)?, cx.scalar_with(Op::Add, 1.0, x)?))
}

fn acos(cx: &mut Importer, node: &Node) -> Results {
    let (below, above) = complement(cx, node.input(0)?)?;
    let square = cx.div(&below, &above)?;
    let tangent = cx.unary(Op::Sqrt, &square)?;
    let half = cx.unary(Op::Atan, &tangent)?;
    one(cx.with_scalar(Op::Mul, &half, 2.0)?)
}

fn asin(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (below, above) = complement(cx, x)?;
    let square = cx.mul(&below, &above)?;
    let cosine = cx.unary(Op::Sqrt, &square)?;
    let tangent = cx.div(x, &cosine)?;
    one(cx.unary(Op::Atan, &tangent)?)
}

fn hyperbolic_cosine(cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
    let negated = cx.unary(Op::Neg, x)?;
    let (grows, falls) = (cx.unary(Op::Exp, x)?, cx.unary(Op::Exp, &negated)?);
    let sum = cx.add(&grows, &falls)?;
    cx.with_scalar(Op::Mul, &sum, 0.5)
}

/// `tanh * cosh`, which is exact near 0, where a difference of exponentials is not.
fn sinh(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (tangent, cosine) = (cx.unary(Op::Tanh, x)?, hyperbolic_cosine(cx, x)?);
    one(cx.mul(&tangent, &cosine)?)
}

/// `log(1 + x)`, exact near 0 too: `2 atanh(x / (2 + x))` by its series where that quotient is small.
fn log_one_plus(cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
    const SMALL: f64 = 0.1;
    let sum = cx.with_scalar(Op::Add, x, 1.0)?;
    let log = cx.unary(Op::Log, &sum)?;
    let divisor = cx.with_scalar(Op::Add, x, 2.0)?;
    let quotient = cx.div(x, &divisor)?;
    let square = cx.mul(&quotient, &quotient)?;
    let mut series = cx.scalar_like(x, 0.0)?;
    for power in (0..=6).rev() {
        let scaled = cx.mul(&series, &square)?;
        series = cx.with_scalar(Op::Add, &scaled, 2.0 / f64::from(2 * power + 1))?;
    }
    let near = cx.mul(&quotient, &series)?;
    let magnitude = cx.unary(Op::Abs, &quotient)?;
    let is_near = cx.with_scalar(Op::Less, &magnitude, SMALL)?;
    cx.select(&is_near, &near, &log)
}

fn with_sign(cx: &mut Importer, magnitude: &Operand, x: &Operand) -> NodeResult<Operand> {
    let sign = cx.unary(Op::Sign, x)?;
    cx.mul(&sign, magnitude)
}

/// `log(1 + (|x| + x^2 / (1 + sqrt(1 + x^2))))` with the sign of `x`.
fn asinh(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let magnitude = cx.unary(Op::Abs, x)?;
    let square = cx.mul(x, x)?;
    let root = cx.with_scalar(Op::Add, &square, 1.0)?;
    let root = cx.unary(Op::Sqrt, &root)?;
    let divisor = cx.with_scalar(Op::Add, &root, 1.0)?;
    let rest = cx.div(&square, &divisor)?;
    let sum = cx.add(&magnitude, &rest)?;
    let log = log_one_plus(cx, &sum)?;
    one(with_sign(cx, &log, x)?)
}

/// `log(1 + 2 |x| / (1 - |x|)) / 2` with the sign of `x`.
fn atanh(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let magnitude = cx.unary(Op::Abs, x)?;
    let rest = cx.scalar_with(Op::Sub, 1.0, &magnitude)?;
    let quotient = cx.div(&magnitude, &rest)?;
    let doubled = cx.with_scalar(Op::Mul, &quotient, 2.0)?;
    let log = log_one_plus(cx, &doubled)?;
    let half = cx.with_scalar(Op::Mul, &log, 0.5)?;
    one(with_sign(cx, &half, x)?)
}

fn acosh(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (below, above) = (cx.with_scalar(Op::Sub, x, 1.0)?, cx.with_scalar(Op::Add, x, 1.0)?);
    let square = cx.mul(&below, &above)?;
    let root = cx.unary(Op::Sqrt, &square)?;
    let sum = cx.add(x, &root)?;
    one(cx.unary(Op::Log, &sum)?)
}
