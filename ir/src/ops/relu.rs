use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
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
    infer: |operands, _| families::infer_elementwise(Op::Relu, operands, families::NUMERIC),
    eval: |operands, _, output| families::eval_unary(operands, output, |x| maximum(x, 0.0), |x| x.max(0)),
    lower: |operands, _, output| {
        families::lower_elementwise(operands, output, |body, loads| {
            let zero = body.number(output.dtype, 0.0);
            body.binary(BinaryOp::Max, loads[0], zero)
        })
    },
    sample: |random| families::sample_elementwise(random, 1, families::NUMERIC),
};
