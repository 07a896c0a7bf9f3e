use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common};
use crate::attrs::Attrs;
use crate::compute::{Body, Compute, Step, StepId};
use crate::dim::{Dim, Symbol};
use crate::random::Random;
use crate::scalar::BinaryOp;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "gather",
    doc: "Slices of `x` along `axis` at `indices`; the dims of `indices` take the place of the axis. Negative indices count \
          from the end; others outside are brought to the nearest end.",
    operands: Operands::Fixed(&["x", "indices"]),
    attrs: &[common::AXIS],
    class: Class::Movement,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Copy,
    infer,
    eval,
    lower,
    sample,
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, indices) = (operands[0], operands[1]);
    let axis = common::axis(Op::Gather, x.rank(), attrs)?;
    common::check_dtype(Op::Gather, x.dtype, common::ANY)?;
    common::check_dtype(Op::Gather, indices.dtype, &[DType::I32, DType::I64])?;
    let dims = [&x.dims[..axis], &indices.dims, &x.dims[axis + 1..]].concat();
    Ok(TensorType { dtype: x.dtype, dims })
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, indices, axis) = (operands[0], operands[1], attrs.int("axis") as usize);
    let positions = indices.to_i64();
    let size = x.shape()[axis] as i64;
    let end = axis + indices.shape().len();
    common::eval_move(x, output, |index| {
        let position = positions[common::offset(indices.shape(), &index[axis..end])];
        let position = if position < 0 { position + size } else { position };
        let position = usize::try_from(position.clamp(0, (size - 1).max(0))).ok()?;
        let source = [&index[..axis], &[position], &index[end..]].concat();
        Some(common::offset(x.shape(), &source))
    })
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (x, indices, axis) = (operands[0], operands[1], attrs.int("axis") as usize);
    let size = &x.dims[axis];
    let end = axis + indices.rank();
    Some(Compute::map(operands, output, |body, coords| {
        let index = body.load(1, coords[axis..end].to_vec());
        let position = normalize(body, index, indices.dtype, size);
        let symbol = Symbol::index("%d0", size);
        body.push(Step::Dynamic(symbol.clone(), position));
        body.load(0, [&coords[..axis], &[Dim::symbol(&symbol)], &coords[end..]].concat());
    }))
}

/// Appends the steps that bring an index into `0..size`, where negative ones count from the end.
fn normalize(body: &mut Body, index: StepId, dtype: DType, size: &Dim) -> StepId {
    let zero = body.push(Step::Int(dtype, 0));
    let count = body.push(Step::Index(size.clone(), dtype));
    let last = body.push(Step::Index(size.clone() - 1.into(), dtype));
    let wrapped = body.binary(BinaryOp::Add, index, count);
    let negative = body.binary(BinaryOp::Lt, index, zero);
    let position = body.push(Step::Select(negative, wrapped, index));
    let low = body.binary(BinaryOp::Max, position, zero);
    body.binary(BinaryOp::Min, low, last)
}

fn sample(random: &mut Random) -> Sample {
    let mut sample = common::sample_axis(random, common::ANY);
    let axis = sample.attrs.int("axis") as usize;
    sample.operands[0].dims[axis] = Dim::constant(random.int(1, 5));
    let indices = common::sample_type(random, (0, 2), &[DType::I32, DType::I64]);
    sample.operands.push(indices);
    sample
}
