use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::{BinaryOp, UnaryOp};

pub(super) const DEF: OpDef = OpDef {
    name: "tan",
    doc: "The tangent.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(16.0),
    infer: |operands, _| common::infer_elementwise(Op::Tan, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::tan),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let sin = f.unary(UnaryOp::Sin, x);
            let cos = f.unary(UnaryOp::Cos, x);
            f.binary(BinaryOp::Div, sin, cos)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
