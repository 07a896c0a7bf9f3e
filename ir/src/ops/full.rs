use super::{Class, Op, OpDef, Operands, Tolerance, TypeError, Work, common};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::Compute;
use crate::number::Number;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "full",
    doc: "A tensor whose elements are all `value`.",
    operands: Operands::Fixed(&[]),
    attrs: &[common::attr("value", AttrKind::Float, "the value of each element"), common::DTYPE, common::DIMS],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer,
    eval: |_, attrs, output| {
        let value = Number::float(output.dtype, attrs.float("value"));
        common::eval_positions(output, |_| value)
    },
    lower: |operands, attrs, output| {
        let value = Number::float(output.dtype, attrs.float("value"));
        Some(Compute::map(operands, output, |body, _| {
            body.constant(value);
        }))
    },
    sample: |random| {
        let value = random.int(-3, 3) as f64;
        common::sample_leaf(random, common::ANY, 0).with("value", value)
    },
};

fn infer(_: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let dtype: DType = attrs.dtype("dtype");
    common::check_dtype(Op::Full, dtype, common::ANY)?;
    common::check_sizes(Op::Full, attrs.dims("dims"))?;
    Ok(TensorType { dtype, dims: attrs.dims("dims").to_vec() })
}
