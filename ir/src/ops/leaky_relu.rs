use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
use crate::attrs::AttrKind;
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "leaky_relu",
    doc: "`x` where it is not negative, else `alpha * x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[families::attr("alpha", AttrKind::Float, "the slope below 0")],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(2.0),
    infer: |operands, _| families::infer_elementwise(Op::LeakyRelu, operands, families::FLOATS),
    eval: |operands, attrs, output| {
        families::eval_unary_f64(operands, output, |x| if x < 0.0 { attrs.float("alpha") * x } else { x })
    },
    lower: |operands, attrs, output| {
        families::lower_composite(operands, output, |f, x| {
            let scaled = f.with(BinaryOp::Mul, x, attrs.float("alpha"));
            f.if_negative(x, scaled, x)
        })
    },
    sample: |random| families::sample_elementwise(random, 1, families::FLOATS).with("alpha", random.float(0.0, 0.5)),
};
