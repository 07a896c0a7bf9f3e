use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "sqrt",
    doc: "The square root.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(4.0),
    infer: |operands, _| common::infer_elementwise(Op::Sqrt, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::sqrt),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Sqrt, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
