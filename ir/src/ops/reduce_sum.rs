use super::{Class, Op, OpDef, Operands, Tolerance, families};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_sum",
    doc: "The sum along `axes`, which stay with size 1.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[families::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    infer: |operands, attrs| families::infer_reduce(Op::ReduceSum, operands[0], attrs),
    eval: |operands, _, output| families::eval_reduce(operands[0], output, 0.0, |a, b| a + b),
    lower: |operands, attrs, output| families::lower_reduce(ReduceOp::Sum, operands[0], attrs, output),
};
