use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
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
    infer: |operands, _| common::infer_elementwise(Op::And, operands, common::LOGICAL),
    eval: |operands, _, output| common::eval_binary(operands, output, |x, _| x, |x, y| x & y),
    lower: |operands, _, output| common::lower_binary(BinaryOp::And, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::LOGICAL),
};
