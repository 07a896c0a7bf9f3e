use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "not",
    doc: "Logical negation.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Not, operands, common::BOOL),
    eval: |operands, _, output| common::eval_unary(operands, output, |x| x, |x| 1 - x),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Not, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::BOOL),
};
