use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "erf",
    doc: "The error function.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(12.0),
    infer: |operands, _| families::infer_elementwise(Op::Erf, operands, families::FLOATS),
    eval: |operands, _, output| families::eval_unary_f64(operands, output, libm::erf),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Erf, operands, output),
    sample: |random| families::sample_elementwise(random, 1, families::FLOATS),
};
