use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::{BinaryOp, UnaryOp};

pub(super) const DEF: OpDef = OpDef {
    name: "silu",
    doc: "`x * sigmoid(x)`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(10.5),
    infer: |operands, _| common::infer_elementwise(Op::Silu, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, |x| x / (1.0 + (-x).exp())),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let gate = f.unary(UnaryOp::Sigmoid, x);
            f.binary(BinaryOp::Mul, x, gate)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
