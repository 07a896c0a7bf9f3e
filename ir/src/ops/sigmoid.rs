use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "sigmoid",
    doc: "`1 / (1 + e^-x)`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(10.0),
    infer: |operands, _| common::infer_elementwise(Op::Sigmoid, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, |x| 1.0 / (1.0 + (-x).exp())),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Sigmoid, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
