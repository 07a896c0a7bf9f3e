use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::Compute;
use crate::dim::Dim;
use crate::random::Random;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "slice",
    doc: "Element `i` along each axis is element `start + i * step` of `x`, for `i` below the size.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[
        common::attr("starts", AttrKind::Dims, "the first element per axis"),
        common::attr("sizes", AttrKind::Dims, "the sizes of the result"),
        common::attr("steps", AttrKind::Ints, "the distance of elements per axis; not 0"),
    ],
    class: Class::Movement,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Selection,
    infer,
    eval,
    lower: |operands, attrs, output| {
        let (starts, steps) = (attrs.dims("starts"), attrs.ints("steps"));
        Some(Compute::map(operands, output, |body, coords| {
            let parts = coords.iter().zip(starts).zip(steps);
            body.load(0, parts.map(|((i, start), step)| start.clone() + i.clone() * (*step).into()).collect());
        }))
    },
    sample,
};

const STEP_LIMIT: i64 = 1 << 30;

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let x = operands[0];
    let (starts, sizes, steps) = (attrs.dims("starts"), attrs.dims("sizes"), attrs.ints("steps"));
    common::check_dtype(Op::Slice, x.dtype, common::ANY)?;
    if [starts.len(), sizes.len(), steps.len()].iter().any(|count| *count != x.rank()) {
        return Err(invalid(Op::Slice, format!("starts, sizes and steps for {} axes expected", x.rank())));
    }
    if steps.iter().any(|step| *step == 0 || step.abs() > STEP_LIMIT) {
        return Err(invalid(Op::Slice, format!("steps {steps:?} must not be 0 or very large")));
    }
    common::check_sizes(Op::Slice, sizes)?;
    for (axis, dim) in x.dims.iter().enumerate() {
        check_axis(dim, &starts[axis], &sizes[axis], steps[axis])?;
    }
    Ok(TensorType { dtype: x.dtype, dims: sizes.to_vec() })
}

/// Refuses an axis that reads outside for all values of the symbols.
fn check_axis(dim: &Dim, start: &Dim, size: &Dim, step: i64) -> Result<(), TypeError> {
    let last = start.clone() + (size.clone() - 1.into()) * step.into();
    let outside = |at: &Dim| at.bounds().1 < 0 || (dim.clone() - at.clone()).bounds().1 < 1;
    if size.bounds().0 >= 1 && (outside(start) || outside(&last)) {
        return Err(invalid(Op::Slice, format!("elements {start} to {last} are outside of a size of {dim}")));
    }
    Ok(())
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, steps) = (operands[0], attrs.ints("steps"));
    let starts: Vec<i64> = attrs.dims("starts").iter().map(Dim::as_constant).collect::<Option<_>>()?;
    let at = |axis: usize, i: usize| starts[axis].checked_add((i as i64).checked_mul(steps[axis])?);
    let inside = |axis: usize, i: usize| {
        let at = at(axis, i).and_then(|at| usize::try_from(at).ok());
        at.is_some_and(|at| at < x.shape()[axis])
    };
    let shape = output.static_shape()?;
    let ends_inside = |(axis, size): (usize, &usize)| inside(axis, 0) && inside(axis, size - 1);
    if !shape.contains(&0) && !shape.iter().enumerate().all(ends_inside) {
        return None;
    }
    common::eval_move(x, output, |index| {
        let index: Option<Vec<usize>> = (0..index.len()).map(|axis| usize::try_from(at(axis, index[axis])?).ok()).collect();
        index.map(|index| common::offset(x.shape(), &index))
    })
}

fn sample(random: &mut Random) -> Sample {
    let x = common::sample_type(random, (0, 4), common::ANY);
    let (mut starts, mut sizes, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for dim in &x.dims {
        let dim = dim.as_constant().unwrap_or(0);
        let (step, start) = (random.int(1, 3), random.int(0, dim - 1));
        let (step, room) = if random.one_in(3) { (-step, start) } else { (step, dim - 1 - start) };
        starts.push(Dim::constant(start));
        sizes.push(Dim::constant(if dim == 0 { 0 } else { random.int(0, room.div_euclid(step.abs()) + 1) }));
        steps.push(step);
    }
    Sample { operands: vec![x], attrs: Attrs::new() }.with("starts", starts).with("sizes", sizes).with("steps", steps)
}
