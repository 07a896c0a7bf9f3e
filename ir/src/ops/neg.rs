use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
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
    infer: |operands, _| common::infer_elementwise(Op::Neg, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_unary(operands, output, |x| -x, |x| -x),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Neg, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::NUMERIC),
};
