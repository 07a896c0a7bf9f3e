use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::Compute;
use crate::number::{Number, maximum, minimum};
use crate::scalar::BinaryOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "clip",
    doc: "`min(max(x, low), high)`; NaN stays. Limits are rounded to the element type.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[
        common::attr("min", AttrKind::Float, "the lower limit; -inf for none"),
        common::attr("max", AttrKind::Float, "the upper limit; inf for none"),
    ],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer: |operands, _| common::infer_elementwise(Op::Clip, operands, common::NUMERIC),
    eval,
    lower,
    sample: |random| {
        let limits = (random.int(-2, 1) as f64, random.int(0, 3) as f64);
        common::sample_elementwise(random, 1, common::NUMERIC).with("min", limits.0).with("max", limits.1)
    },
};

/// The limits as values of the element type.
fn limits(dtype: DType, attrs: &Attrs) -> (Number, Number) {
    (Number::float(dtype, attrs.float("min")), Number::float(dtype, attrs.float("max")))
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (low, high) = limits(output.dtype, attrs);
    let float = |x| minimum(maximum(x, low.as_f64()), high.as_f64());
    common::eval_unary(operands, output, float, |x| x.max(low.as_i128()).min(high.as_i128()))
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (low, high) = limits(output.dtype, attrs);
    common::lower_elementwise(operands, output, |body, loads| {
        let mut result = loads[0];
        for (op, name, limit) in [(BinaryOp::Max, "min", low), (BinaryOp::Min, "max", high)] {
            if attrs.float(name).is_finite() {
                let limit = body.constant(limit);
                result = body.binary(op, result, limit);
            }
        }
        result
    })
}
