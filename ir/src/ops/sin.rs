use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "sin",
    doc: "The sine.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(12.0),
    infer: |operands, _| common::infer_elementwise(Op::Sin, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::sin),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Sin, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
