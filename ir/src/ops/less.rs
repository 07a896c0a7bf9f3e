use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "less",
    doc: "`x < y`.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_test(Op::Less, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_test(operands, output, |x, y| x < y, |x, y| x < y),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Lt, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::NUMERIC),
};
