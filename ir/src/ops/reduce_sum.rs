use super::families::Fold;
use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_sum",
    doc: "The sum along `axes`, which stay with size 1; integers wrap.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[families::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Operands,
    infer: |operands, attrs| families::infer_reduce(Op::ReduceSum, operands[0], attrs, families::NUMERIC),
    eval: |operands, _, output| {
        let fold = Fold { float_start: 0.0, float: |x, y| x + y, int_start: 0, int: i128::wrapping_add };
        families::eval_reduce(operands[0], output, &fold)
    },
    lower: |operands, attrs, output| families::lower_reduce(ReduceOp::Sum, operands[0], attrs, output, |_, x| x),
    sample: |random| families::sample_reduce(random, families::NUMERIC),
};
