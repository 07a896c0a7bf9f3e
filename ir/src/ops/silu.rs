use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
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
    infer: |operands, _| families::infer_elementwise(Op::Silu, operands, families::FLOATS),
    eval: |operands, _, output| families::eval_unary_f64(operands, output, |x| x / (1.0 + (-x).exp())),
    lower: |operands, _, output| {
        families::lower_composite(operands, output, |f, x| {
            let gate = f.unary(UnaryOp::Sigmoid, x);
            f.binary(BinaryOp::Mul, x, gate)
        })
    },
    sample: |random| families::sample_elementwise(random, 1, families::FLOATS),
};
