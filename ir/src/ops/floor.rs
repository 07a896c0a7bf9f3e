use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "floor",
    doc: "The largest integer not above `x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Floor, operands, common::FLOATS),
    eval: |operands, _, output| common::eval_unary_f64(operands, output, f64::floor),
    lower: |operands, _, output| common::lower_unary(UnaryOp::Floor, operands, output),
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS),
};
