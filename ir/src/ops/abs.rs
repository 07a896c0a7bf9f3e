use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "abs",
    doc: "`|x|`; integers wrap.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Abs, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_unary(operands, output, f64::abs, i128::abs),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Abs, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::NUMERIC),
};
