use super::common::Fold;
use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::number::{int_range, maximum};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_max",
    doc: "The largest along `axes`, which stay with size 1; NaN if any is NaN, the lowest value if there are none.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Operands,
    infer: |operands, attrs| common::infer_reduce(Op::ReduceMax, operands[0], attrs, common::NUMERIC),
    eval: |operands, _, output| {
        let fold = Fold { float_start: f64::NEG_INFINITY, float: maximum, int_start: int_range(output.dtype).0, int: i128::max };
        common::eval_reduce(operands[0], output, &fold)
    },
    lower: |operands, attrs, output| common::lower_reduce(ReduceOp::Max, operands[0], attrs, output, |_, x| x),
    sample: |random| common::sample_reduce(random, common::NUMERIC),
};
