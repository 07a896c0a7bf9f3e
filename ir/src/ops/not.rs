use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
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
    infer: |operands, _| families::infer_elementwise(Op::Not, operands, families::BOOL),
    eval: |operands, _, output| families::eval_unary(operands, output, |x| x, |x| 1 - x),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Not, operands, output),
    sample: |random| families::sample_elementwise(random, 1, families::BOOL),
};
