use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::number::maximum;
use crate::scalar::{BinaryOp, UnaryOp};

pub(super) const DEF: OpDef = OpDef {
    name: "softplus",
    doc: "`log(1 + e^x)`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(18.0),
    infer: |operands, _| common::infer_elementwise(Op::Softplus, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, |x| maximum(x, 0.0) + (-x.abs()).exp().ln_1p()),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let abs = f.unary(UnaryOp::Abs, x);
            let neg = f.unary(UnaryOp::Neg, abs);
            let exp = f.unary(UnaryOp::Exp, neg);
            let sum = f.with(BinaryOp::Add, exp, 1.0);
            let log = f.unary(UnaryOp::Log, sum);
            let ramp = f.with(BinaryOp::Max, x, 0.0);
            f.binary(BinaryOp::Add, ramp, log)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
