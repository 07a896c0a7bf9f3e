use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "pow",
    doc: "`x` to the power of `y`.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(20.0),
    infer: |operands, _| families::infer_elementwise(Op::Pow, operands, families::FLOATS),
    eval: |operands, _, output| families::eval_binary(operands, output, f64::powf, |x, _| x),
    lower: |operands, _, output| families::lower_binary(BinaryOp::Pow, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::FLOATS),
};
