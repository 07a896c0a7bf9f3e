use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "div",
    doc: "`x / y`; integers truncate toward zero and give 0 for a zero divisor.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(4.5),
    infer: |operands, _| common::infer_elementwise(Op::Div, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_binary(operands, output, |x, y| x / y, |x, y| x.checked_div(y).unwrap_or(0)),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Div, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::NUMERIC),
};
