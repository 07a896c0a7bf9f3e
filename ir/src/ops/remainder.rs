use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "remainder",
    doc: "Remainder with the sign of `x`, as C's `fmod`; 0 for a zero integer divisor.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(6.0),
    infer: |operands, _| common::infer_elementwise(Op::Remainder, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_binary(operands, output, |x, y| x % y, |x, y| x.checked_rem(y).unwrap_or(0)),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Rem, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::NUMERIC),
};
