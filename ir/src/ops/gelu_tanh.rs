use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::{BinaryOp, UnaryOp};

const SCALE: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044715;

pub(super) const DEF: OpDef = OpDef {
    name: "gelu_tanh",
    doc: "The approximation `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2` of `gelu`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(14.0),
    infer: |operands, _| common::infer_elementwise(Op::GeluTanh, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, gelu_tanh),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let square = f.binary(BinaryOp::Mul, x, x);
            let cubic = f.with(BinaryOp::Mul, square, SCALE * CUBIC);
            let factor = f.with(BinaryOp::Add, cubic, SCALE);
            let inner = f.binary(BinaryOp::Mul, x, factor);
            let tanh = f.unary(UnaryOp::Tanh, inner);
            let sum = f.with(BinaryOp::Add, tanh, 1.0);
            let half = f.with(BinaryOp::Mul, x, 0.5);
            f.binary(BinaryOp::Mul, half, sum)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + (SCALE * (x + CUBIC * x * x * x)).tanh())
}
