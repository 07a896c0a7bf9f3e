use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
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
    infer: |operands, _| families::infer_elementwise(Op::Remainder, operands, families::NUMERIC),
    eval: |operands, _, output| families::eval_binary(operands, output, |x, y| x % y, |x, y| x.checked_rem(y).unwrap_or(0)),
    lower: |operands, _, output| families::lower_binary(BinaryOp::Rem, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::NUMERIC),
};
