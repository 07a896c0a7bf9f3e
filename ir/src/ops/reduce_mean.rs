use super::common::{self, Fold};
use super::{Class, Op, OpDef, Operands, Tolerance, Work};
use crate::attrs::Attrs;
use crate::compute::Compute;
use crate::scalar::ReduceOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "reduce_mean",
    doc: "The mean along `axes`, which stay with size 1.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::AXES],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Operands,
    infer: |operands, attrs| common::infer_reduce(Op::ReduceMean, operands[0], attrs, common::FLOATS),
    eval,
    lower,
    sample: |random| common::sample_reduce(random, common::FLOATS),
};

fn eval(operands: &[&Tensor], _: &Attrs, output: &TensorType) -> Option<Tensor> {
    let fold = Fold { float_start: 0.0, float: |x, y| x + y, int_start: 0, int: |x, _| x };
    let wide = TensorType { dtype: DType::F64, dims: output.dims.clone() };
    let sums = common::eval_reduce(operands[0], &wide, &fold)?;
    let count = operands[0].len() as f64 / sums.len() as f64;
    common::eval_unary_f64(&[&sums], output, |sum| sum / count)
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let count = common::reduced_count(operands[0], attrs);
    common::lower_reduce(ReduceOp::Sum, operands[0], attrs, output, |body, sum| {
        common::divide(body, common::accumulator(output.dtype), sum, &count)
    })
}
