use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::number::{maximum, minimum};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "hard_swish",
    doc: "`x * min(max(x / 6 + 0.5, 0), 1)`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(3.0),
    infer: |operands, _| common::infer_elementwise(Op::HardSwish, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, |x| x * minimum(maximum(x / 6.0 + 0.5, 0.0), 1.0)),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let scaled = f.with(BinaryOp::Mul, x, 1.0 / 6.0);
            let shifted = f.with(BinaryOp::Add, scaled, 0.5);
            let gate = f.clip(shifted, 0.0, 1.0);
            f.binary(BinaryOp::Mul, x, gate)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
