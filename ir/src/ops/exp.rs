use super::{Class, Op, OpDef, Operands, Tolerance, families};
use crate::scalar::UnaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "exp",
    doc: "`e` to the power of `x`.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    infer: |operands, _| families::infer_elementwise(Op::Exp, operands),
    eval: |operands, _, output| families::eval_f64(operands, output, |v| v[0].exp()),
    lower: |operands, _, output| families::lower_unary(UnaryOp::Exp, operands, output),
};
