use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Compute, Step};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::random::Random;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "update_slice",
    doc: "`x` with the part that begins at `starts` replaced by `update`.",
    operands: Operands::Fixed(&["x", "update"]),
    attrs: &[common::attr("starts", AttrKind::Dims, "the first element that is replaced, per axis")],
    class: Class::Update,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Assembly,
    infer,
    eval,
    lower,
    sample,
};

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, update, starts) = (operands[0], operands[1], attrs.dims("starts"));
    common::check_dtype(Op::UpdateSlice, x.dtype, common::ANY)?;
    common::check_sizes(Op::UpdateSlice, starts)?;
    if update.dtype != x.dtype || update.rank() != x.rank() || starts.len() != x.rank() {
        return Err(invalid(Op::UpdateSlice, format!("{update} at {starts:?} is not inside {x}")));
    }
    let outside = |axis: usize| (x.dims[axis].clone() - starts[axis].clone() - update.dims[axis].clone()).bounds().1 < 0;
    match (0..x.rank()).find(|axis| outside(*axis)) {
        Some(axis) => Err(invalid(Op::UpdateSlice, format!("{update} at {} of axis {axis} reaches out of {x}", starts[axis]))),
        None => Ok(x.clone()),
    }
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, update) = (operands[0], operands[1]);
    let start = |dim: &Dim| usize::try_from(dim.as_constant()?).ok();
    let starts: Vec<usize> = attrs.dims("starts").iter().map(start).collect::<Option<_>>()?;
    let inside = |axis: usize| starts[axis].checked_add(update.shape()[axis]).is_some_and(|end| end <= x.shape()[axis]);
    if output.dtype != x.dtype() || !(0..starts.len()).all(inside) {
        return None;
    }
    common::eval_move_over(x.clone(), update, |index| {
        let part: Option<Vec<usize>> = index.iter().zip(&starts).map(|(i, start)| i.checked_sub(*start)).collect();
        let part = part.filter(|part| part.iter().zip(update.shape()).all(|(i, size)| i < size))?;
        Some(common::offset(update.shape(), &part))
    })
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (update, starts) = (operands[1], attrs.dims("starts"));
    Some(Compute::map(operands, output, |body, coords| {
        let old = body.load(0, coords.to_vec());
        let part: Vec<Dim> = coords.iter().zip(starts).map(|(coord, start)| coord.clone() - start.clone()).collect();
        let within = part.iter().zip(&update.dims).map(|(coord, size)| Cond::within(coord, &Dim::default(), size));
        let valid = within.fold(Cond::default(), Cond::and).simplify();
        let new = body.push(Step::Load { input: 1, coords: part, valid: valid.clone(), otherwise: 0 });
        body.push(Step::SelectIf(valid, new, old));
    }))
}

fn sample(random: &mut Random) -> Sample {
    let x = common::sample_type(random, (0, 4), common::ANY);
    let mut update = x.clone();
    let mut starts = Vec::new();
    for dim in &mut update.dims {
        let whole = dim.as_constant().unwrap_or(0);
        let start = random.int(0, whole);
        starts.push(Dim::constant(start));
        *dim = Dim::constant(random.int(0, whole - start));
    }
    Sample { operands: vec![x, update], attrs: Attrs::new() }.with("starts", starts)
}
