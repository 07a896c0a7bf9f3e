use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "add",
    doc: "`x + y`; integers wrap.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: true,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Add, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_binary(operands, output, |x, y| x + y, |x, y| x + y),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Add, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::NUMERIC),
};
