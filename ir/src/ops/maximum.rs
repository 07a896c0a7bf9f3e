use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::number::maximum;
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "maximum",
    doc: "The larger; NaN if either is NaN.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: true,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_elementwise(Op::Maximum, operands, families::NUMERIC),
    eval: |operands, _, output| families::eval_binary(operands, output, maximum, i128::max),
    lower: |operands, _, output| families::lower_binary(BinaryOp::Max, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::NUMERIC),
};
