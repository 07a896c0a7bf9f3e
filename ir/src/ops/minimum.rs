use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::number::minimum;
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "minimum",
    doc: "The smaller; NaN if either is NaN.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: true,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_elementwise(Op::Minimum, operands, families::NUMERIC),
    eval: |operands, _, output| families::eval_binary(operands, output, minimum, i128::min),
    lower: |operands, _, output| families::lower_binary(BinaryOp::Min, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::NUMERIC),
};
