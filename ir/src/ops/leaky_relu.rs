use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::AttrKind;
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "leaky_relu",
    doc: "`x` where it is not negative, else `alpha * x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::attr("alpha", AttrKind::Float, "the slope below 0")],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(2.0),
    infer: |operands, _| common::infer_elementwise(Op::LeakyRelu, operands, common::FLOATS),
    eval: |operands, attrs, output| {
        common::eval_unary_f64(operands, output, |x| if x < 0.0 { attrs.float("alpha") * x } else { x })
    },
    lower: |operands, attrs, output| {
        common::lower_composite(operands, output, |f, x| {
            let scaled = f.with(BinaryOp::Mul, x, attrs.float("alpha"));
            f.if_negative(x, scaled, x)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS).with("alpha", random.float(0.0, 0.5)),
};
