use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::{BinaryOp, UnaryOp};
use std::f64::consts::FRAC_1_SQRT_2;

pub(super) const DEF: OpDef = OpDef {
    name: "gelu",
    doc: "`x * (1 + erf(x / sqrt(2))) / 2`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(13.0),
    infer: |operands, _| common::infer_elementwise(Op::Gelu, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, |x| 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2))),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let scaled = f.with(BinaryOp::Mul, x, FRAC_1_SQRT_2);
            let erf = f.unary(UnaryOp::Erf, scaled);
            let sum = f.with(BinaryOp::Add, erf, 1.0);
            let half = f.with(BinaryOp::Mul, x, 0.5);
            f.binary(BinaryOp::Mul, half, sum)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
