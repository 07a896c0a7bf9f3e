use super::{Class, Op, OpDef, Operands, Tolerance, TypeError, Work, families};
use crate::attrs::Attrs;
use crate::compute::{Compute, Step};
use crate::number::Number;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "iota",
    doc: "A tensor whose elements are their positions along `axis`.",
    operands: Operands::Fixed(&[]),
    attrs: &[families::AXIS, families::DTYPE, families::DIMS],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer,
    eval: |_, attrs, output| {
        let axis = attrs.int("axis") as usize;
        families::eval_positions(output, |index| Number::int(output.dtype, index[axis] as i128))
    },
    lower: |operands, attrs, output| {
        Some(Compute::map(operands, output, |body, coords| {
            body.push(Step::Index(coords[attrs.int("axis") as usize].clone(), output.dtype));
        }))
    },
    sample: |random| {
        let sample = families::sample_leaf(random, families::NUMERIC, 1);
        let axis = random.int(0, sample.attrs.dims("dims").len() as i64 - 1);
        sample.with("axis", axis)
    },
};

fn infer(_: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let dims = attrs.dims("dims");
    families::check_dtype(Op::Iota, attrs.dtype("dtype"), families::NUMERIC)?;
    families::check_sizes(Op::Iota, dims)?;
    families::axis(Op::Iota, dims.len(), attrs)?;
    Ok(TensorType { dtype: attrs.dtype("dtype"), dims: dims.to_vec() })
}
