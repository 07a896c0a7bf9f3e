use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::number::maximum;
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "relu",
    doc: "The larger of `x` and 0; NaN stays.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Relu, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_unary(operands, output, |x| maximum(x, 0.0), |x| x.max(0)),
    lower: |operands, _, output| {
        common::lower_elementwise(operands, output, |body, loads| {
            let zero = body.number(output.dtype, 0.0);
            body.binary(BinaryOp::Max, loads[0], zero)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::NUMERIC),
};
