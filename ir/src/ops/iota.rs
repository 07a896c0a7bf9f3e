use super::{Class, Op, OpDef, Operands, Tolerance, TypeError, Work, common};
use crate::attrs::Attrs;
use crate::compute::{Compute, Step};
use crate::number::Number;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "iota",
    doc: "A tensor whose elements are their positions along `axis`.",
    operands: Operands::Fixed(&[]),
    attrs: &[common::AXIS, common::DTYPE, common::DIMS],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer,
    eval: |_, attrs, output| {
        let axis = attrs.int("axis") as usize;
        common::eval_positions(output, |index| Number::int(output.dtype, index[axis] as i128))
    },
    lower: |operands, attrs, output| {
        Some(Compute::map(operands, output, |body, coords| {
            body.push(Step::Index(coords[attrs.int("axis") as usize].clone(), output.dtype));
        }))
    },
    sample: |random| {
        let sample = common::sample_leaf(random, common::NUMERIC, 1);
        let axis = random.int(0, sample.attrs.dims("dims").len() as i64 - 1);
        sample.with("axis", axis)
    },
};

fn infer(_: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let dims = attrs.dims("dims");
    common::check_dtype(Op::Iota, attrs.dtype("dtype"), common::NUMERIC)?;
    common::check_sizes(Op::Iota, dims)?;
    common::axis(Op::Iota, dims.len(), attrs)?;
    Ok(TensorType { dtype: attrs.dtype("dtype"), dims: dims.to_vec() })
}
