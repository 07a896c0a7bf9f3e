use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
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
    infer: |operands, _| common::infer_elementwise(Op::Maximum, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_binary(operands, output, maximum, i128::max),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Max, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::NUMERIC),
};
