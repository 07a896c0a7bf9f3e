use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
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
    infer: |operands, _| families::infer_elementwise(Op::Sigmoid, operands, families::FLOATS),
    eval: |operands, _, output| families::eval_unary_f64(operands, output, |x| 1.0 / (1.0 + (-x).exp())),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Sigmoid, operands, output),
    sample: |random| families::sample_elementwise(random, 1, families::FLOATS),
};
