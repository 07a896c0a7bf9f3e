use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "equal",
    doc: "`x == y`.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: true,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| families::infer_test(Op::Equal, operands, families::ANY),
    eval: |operands, _, output| families::eval_test(operands, output, |x, y| x == y, |x, y| x == y),
    lower: |operands, _, output| families::lower_binary(BinaryOp::Eq, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::ANY),
};
