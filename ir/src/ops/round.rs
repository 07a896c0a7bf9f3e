use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "round",
    doc: "The nearest integer, ties to even.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_elementwise(Op::Round, operands, families::FLOATS),
    eval: |operands, _, output| families::eval_unary_f64(operands, output, f64::round_ties_even),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Round, operands, output),
    sample: |random| families::sample_elementwise(random, 1, families::FLOATS),
};
