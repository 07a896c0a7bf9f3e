use super::common::Fold;
use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::number::{int_range, minimum};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_min",
    doc: "The smallest along `axes`, which stay with size 1; NaN if any is NaN, the highest value if there are none.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Operands,
    infer: |operands, attrs| common::infer_reduce(Op::ReduceMin, operands[0], attrs, common::NUMERIC),
    eval: |operands, _, output| {
        let fold = Fold { float_start: f64::INFINITY, float: minimum, int_start: int_range(output.dtype).1, int: i128::min };
        common::eval_reduce(operands[0], output, &fold)
    },
    lower: |operands, attrs, output| common::lower_reduce(ReduceOp::Min, operands[0], attrs, output, |_, x| x),
    sample: |random| common::sample_reduce(random, common::NUMERIC),
};
