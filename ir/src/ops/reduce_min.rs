use super::families::Fold;
use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::number::{int_range, minimum};
use crate::scalar::ReduceOp;

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_min",
    doc: "The smallest along `axes`, which stay with size 1; NaN if any is NaN, the highest value if there are none.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[families::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Operands,
    infer: |operands, attrs| families::infer_reduce(Op::ReduceMin, operands[0], attrs, families::NUMERIC),
    eval: |operands, _, output| {
        let fold = Fold { float_start: f64::INFINITY, float: minimum, int_start: int_range(output.dtype).1, int: i128::min };
        families::eval_reduce(operands[0], output, &fold)
    },
    lower: |operands, attrs, output| families::lower_reduce(ReduceOp::Min, operands[0], attrs, output, |_, x| x),
    sample: |random| families::sample_reduce(random, families::NUMERIC),
};
