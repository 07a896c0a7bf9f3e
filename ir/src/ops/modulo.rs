use super::{Class, Op, OpDef, Operands, Tolerance, Work, families};
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
    infer: |operands, _| families::infer_elementwise(Op::Modulo, operands, families::NUMERIC),
    eval: |operands, _, output| families::eval_binary(operands, output, modulo, modulo_int),
    lower: |operands, _, output| families::lower_binary(BinaryOp::Mod, operands, output),
    sample: |random| families::sample_elementwise(random, 2, families::NUMERIC),
};

fn modulo_int(x: i128, y: i128) -> i128 {
    let rest = x.checked_rem(y).unwrap_or(0);
    if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
}
