use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Compute, Step};
use crate::dim::Dim;
use crate::number::Number;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "dim_value",
    doc: "A symbolic integer as a tensor of rank 0.",
    operands: Operands::Fixed(&[]),
    attrs: &[common::attr("dims", AttrKind::Dims, "the integer, alone"), common::DTYPE],
    class: Class::Elementwise,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Scalar(1.0),
    infer,
    eval: |_, attrs, output| {
        let value = attrs.dims("dims")[0].as_constant()?;
        common::eval_positions(output, |_| Number::int(output.dtype, i128::from(value)))
    },
    lower: |operands, attrs, output| {
        Some(Compute::map(operands, output, |body, _| {
            body.push(Step::Index(attrs.dims("dims")[0].clone(), output.dtype));
        }))
    },
    sample: |random| {
        let dims = vec![Dim::constant(random.int(0, 99))];
        let dtype = random.pick(common::NUMERIC, DType::F32);
        Sample::default().with("dims", dims).with("dtype", dtype)
    },
};

fn infer(_: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    common::check_dtype(Op::DimValue, attrs.dtype("dtype"), common::NUMERIC)?;
    match attrs.dims("dims") {
        [_] => Ok(TensorType::scalar(attrs.dtype("dtype"))),
        dims => Err(invalid(Op::DimValue, format!("one dim expected, {} given", dims.len()))),
    }
}
