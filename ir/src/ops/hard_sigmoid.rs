use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::AttrKind;
use crate::attrs::Attrs;
use crate::number::{maximum, minimum};
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "hard_sigmoid",
    doc: "`alpha * x + beta` brought into 0..=1.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::attr("alpha", AttrKind::Float, "the slope"), common::attr("beta", AttrKind::Float, "the value at 0")],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(2.0),
    infer: |operands, _| common::infer_elementwise(Op::HardSigmoid, operands, common::FLOATS),
    eval: |operands, attrs, output| common::eval_unary_f64(operands, output, |x| hard_sigmoid(x, attrs)),
    lower: |operands, attrs, output| {
        common::lower_composite(operands, output, |f, x| {
            let scaled = f.with(BinaryOp::Mul, x, attrs.float("alpha"));
            let shifted = f.with(BinaryOp::Add, scaled, attrs.float("beta"));
            f.clip(shifted, 0.0, 1.0)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS).with("alpha", 0.2).with("beta", 0.5),
};

fn hard_sigmoid(x: f64, attrs: &Attrs) -> f64 {
    minimum(maximum(attrs.float("alpha") * x + attrs.float("beta"), 0.0), 1.0)
}
