use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "tanh",
    doc: "The hyperbolic tangent.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(12.0),
    infer: |operands, _| common::infer_elementwise(Op::Tanh, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::tanh),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Tanh, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
