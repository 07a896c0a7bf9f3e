use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
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
    infer: |operands, _| common::infer_elementwise(Op::Pow, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_binary(operands, output, f64::powf, |x, _| x),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Pow, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::FLOATS),
};
