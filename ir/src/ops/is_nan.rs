use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::{BinaryOp, UnaryOp};

pub(super) const DEF: OpDef = OpDef {
    name: "is_nan",
    doc: "Whether `x` is not a number.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_test(Op::IsNan, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary(operands, output, |x| f64::from(x.is_nan()), |_| 0),
    lower: |operands, _, output| {
        common::lower_elementwise(operands, output, |body, loads| {
            let number = body.binary(BinaryOp::Eq, loads[0], loads[0]);
            body.unary(UnaryOp::Not, number)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
