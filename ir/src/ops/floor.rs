use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "floor",
    doc: "The largest integer not above `x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_elementwise(Op::Floor, operands, families::FLOATS),
    eval: |operands, _, output| families::eval_unary_f64(operands, output, f64::floor),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Floor, operands, output),
    sample: |random| families::sample_elementwise(random, 1, families::FLOATS),
};
