use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::compute::StepId;
use crate::scalar::{BinaryOp, UnaryOp};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

/// Coefficients of a quotient of polynomials in `x^2`, highest power first; the divisor's first one is 1.
const DIVIDEND: [f64; 5] =
    [-0.875_060_860_003_190_4, -16.157_537_187_333_65, -75.008_557_923_147_05, -122.886_668_449_013_61, -64.850_219_049_420_25];
const DIVISOR: [f64; 6] =
    [1.0, 24.858_464_901_423_062, 165.027_009_831_698_85, 432.881_060_491_290_27, 485.390_399_635_913_7, 194.550_657_148_261_4];

/// The tangent of 3/8 pi and the bound above which the argument is turned by pi / 4.
const STEEP: f64 = 2.414_213_562_373_095;
const TURNED: f64 = 0.66;

pub(super) const DEF: OpDef = OpDef {
    name: "atan",
    doc: "The angle from -pi / 2 to pi / 2 whose tangent is `x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Atan, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::atan),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let magnitude = f.unary(UnaryOp::Abs, x);
            let angle = angle(f, magnitude);
            let negated = f.unary(UnaryOp::Neg, angle);
            f.if_negative(x, negated, angle)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};

/// The angle of a tangent that is not negative.
fn angle(f: &mut common::Composite, x: StepId) -> StepId {
    let reciprocal = f.unary(UnaryOp::Recip, x);
    let inverse = f.unary(UnaryOp::Neg, reciprocal);
    let (below, above) = (f.with(BinaryOp::Sub, x, 1.0), f.with(BinaryOp::Add, x, 1.0));
    let turned = f.binary(BinaryOp::Div, below, above);
    let (from_turn, from_steep) = (f.with(BinaryOp::Sub, x, TURNED), f.with(BinaryOp::Sub, x, STEEP));
    let steep = f.if_negative(from_steep, turned, inverse);
    let reduced = f.if_negative(from_turn, x, steep);
    let (zero, quarter, half) = (f.float(0.0), f.float(FRAC_PI_4), f.float(FRAC_PI_2));
    let offset = f.if_negative(from_steep, quarter, half);
    let offset = f.if_negative(from_turn, zero, offset);
    let square = f.binary(BinaryOp::Mul, reduced, reduced);
    let (dividend, divisor) = (polynomial(f, square, &DIVIDEND), polynomial(f, square, &DIVISOR));
    let quotient = f.binary(BinaryOp::Div, dividend, divisor);
    let cubic = f.binary(BinaryOp::Mul, square, reduced);
    let correction = f.binary(BinaryOp::Mul, quotient, cubic);
    let reduced = f.binary(BinaryOp::Add, reduced, correction);
    f.binary(BinaryOp::Add, offset, reduced)
}

fn polynomial(f: &mut common::Composite, x: StepId, coefficients: &[f64]) -> StepId {
    let mut sum = f.float(0.0);
    for coefficient in coefficients {
        let scaled = f.binary(BinaryOp::Mul, sum, x);
        sum = f.with(BinaryOp::Add, scaled, *coefficient);
    }
    sum
}
