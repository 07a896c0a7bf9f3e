use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "and",
    doc: "Logical and of bools, bitwise and of integers.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: true,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_elementwise(Op::And, operands, families::LOGICAL),
    eval: |operands, _, output| families::eval_binary(operands, output, |x, _| x, |x, y| x & y),
    lower: |operands, _, output| families::lower_binary(BinaryOp::And, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::LOGICAL),
};
