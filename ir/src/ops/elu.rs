use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::AttrKind;
use crate::scalar::{BinaryOp, UnaryOp};

pub(super) const DEF: OpDef = OpDef {
    name: "elu",
    doc: "`x` where it is not negative, else `alpha * (e^x - 1)`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[common::attr("alpha", AttrKind::Float, "the limit below 0, negated")],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(9.0),
    infer: |operands, _| common::infer_elementwise(Op::Elu, operands, common::FLOATS),
    eval: |operands, attrs, output| {
        common::eval_unary_f64(operands, output, |x| if x < 0.0 { attrs.float("alpha") * x.exp_m1() } else { x })
    },
    lower: |operands, attrs, output| {
        common::lower_composite(operands, output, |f, x| {
            let exp = f.unary(UnaryOp::Exp, x);
            let less = f.with(BinaryOp::Sub, exp, 1.0);
            let scaled = f.with(BinaryOp::Mul, less, attrs.float("alpha"));
            f.if_negative(x, scaled, x)
        })
    },
    sample: |random| common::sample_elementwise(random, 1, common::FLOATS).with("alpha", random.float(0.5, 1.5)),
};
