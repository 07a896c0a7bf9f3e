use super::{Class, Op, OpDef, Operands, Tolerance, families};

pub(super) const DEF: OpDef = OpDef {
    name: "arg_max",
    doc: "The position along `axis`, which stays with size 1, of the first largest element; a NaN counts as the \
          largest. These are two reductions in one, so that no single compute expresses it.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[families::AXIS],
    class: Class::Reduce,
    commutative: false,
    tolerance: Tolerance::Exact,
    infer: |operands, attrs| families::infer_arg(Op::ArgMax, operands[0], attrs),
    eval: |operands, attrs, output| {
        families::eval_arg(
            operands[0],
            attrs,
            output,
            |x, best| x > best || (x.is_nan() && !best.is_nan()),
            |x, best| x > best,
        )
    },
    lower: |_, _, _| None,
    sample: families::sample_arg,
};
