use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::{BinaryOp, UnaryOp};

pub(super) const DEF: OpDef = OpDef {
    name: "softsign",
    doc: "`x / (1 + |x|)`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(5.0),
    infer: |operands, _| common::infer_elementwise(Op::Softsign, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, |x| x / (1.0 + x.abs())),
    lower: |operands, _, output| {
        common::lower_composite(operands, output, |f, x| {
            let abs = f.unary(UnaryOp::Abs, x);
            let sum = f.with(BinaryOp::Add, abs, 1.0);
            f.binary(BinaryOp::Div, x, sum)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
