use super::{Class, Op, OpDef, Operands, Tolerance, Work, common};
use crate::number::modulo;
use crate::scalar::BinaryOp;

pub(super) const DEF: OpDef = OpDef {
    name: "modulo",
    doc: "Remainder with the sign of `y`, as Python's `%`; 0 for a zero integer divisor.",
    operands: Operands::Fixed(&["x", "y"]),
    attrs: &[],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Rounding,
    work: Work::Scalar(6.0),
    infer: |operands, _| common::infer_elementwise(Op::Modulo, operands, common::NUMERIC),
    eval: |operands, _, output| common::eval_binary(operands, output, modulo, modulo_int),
    lower: |operands, _, output| common::lower_binary(BinaryOp::Mod, operands, output),
    sample: |random| common::sample_elementwise(random, 2, common::NUMERIC),
};

fn modulo_int(x: i128, y: i128) -> i128 {
    let rest = x.checked_rem(y).unwrap_or(0);
    if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
}
