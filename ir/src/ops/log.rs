use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "log",
    doc: "The natural logarithm.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(10.0),
    infer: |operands, _| common::infer_elementwise(Op::Log, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::ln),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Log, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
