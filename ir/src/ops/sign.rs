use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::Attrs;
use crate::compute::{Compute, Step};
use crate::scalar::BinaryOp;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "sign",
    doc: "-1, 0 or 1 by the sign of `x`; NaN and zeros stay.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Sign, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_unary(operands, output, sign, i128::signum),
    lower,
    sample: |random| common::sample_elementwise(random, 1, common::NUMERIC),
};

fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

fn lower(operands: &[&TensorType], _: &Attrs, output: &TensorType) -> Option<Compute> {
    common::lower_elementwise(operands, output, |body, loads| {
        let [zero, one] = [0.0, 1.0].map(|value| body.number(output.dtype, value));
        let positive = body.binary(BinaryOp::Lt, zero, loads[0]);
        let upper = body.push(Step::Select(positive, one, loads[0]));
        if !output.dtype.is_float() && !output.dtype.is_signed_integer() {
            return upper;
        }
        let minus = body.number(output.dtype, -1.0);
        let negative = body.binary(BinaryOp::Lt, loads[0], zero);
        body.push(Step::Select(negative, minus, upper))
    })
}
