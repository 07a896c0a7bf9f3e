use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "neg",
    doc: "`-x`; integers wrap.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_elementwise(Op::Neg, operands, families::NUMERIC),
    eval: |operands, _, output| families::eval_unary(operands, output, |x| -x, |x| -x),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Neg, operands, output),
    sample: |random| families::sample_elementwise(random, 1, families::NUMERIC),
};
