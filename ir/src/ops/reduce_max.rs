use super::families::Fold;
use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::number::{int_range, maximum};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_max",
    doc: "The largest along `axes`, which stay with size 1; NaN if any is NaN, the lowest value if there are none.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[families::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Operands,
    infer: |operands, attrs| families::infer_reduce(Op::ReduceMax, operands[0], attrs, families::NUMERIC),
    eval: |operands, _, output| {
        let fold = Fold { float_start: f64::NEG_INFINITY, float: maximum, int_start: int_range(output.dtype).0, int: i128::max };
        families::eval_reduce(operands[0], output, &fold)
    },
    lower: |operands, attrs, output| families::lower_reduce(ReduceOp::Max, operands[0], attrs, output, |_, x| x),
    sample: |random| families::sample_reduce(random, families::NUMERIC),
};
