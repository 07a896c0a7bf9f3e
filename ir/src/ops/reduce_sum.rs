use super::common::Fold;
use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_sum",
    doc: "The sum along `axes`, which stay with size 1; integers wrap.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Operands,
    infer: |operands, attrs| common::infer_reduce(Op::ReduceSum, operands[0], attrs, common::NUMERIC),
    eval: |operands, _, output| {
        let fold = Fold { float_start: 0.0, float: |x, y| x + y, int_start: 0, int: i128::wrapping_add };
        common::eval_reduce(operands[0], output, &fold)
    },
    lower: |operands, attrs, output| common::lower_reduce(ReduceOp::Sum, operands[0], attrs, output, |_, x| x),
    sample: |random| common::sample_reduce(random, common::NUMERIC),
};
