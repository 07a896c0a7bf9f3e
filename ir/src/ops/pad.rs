use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, common, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Compute, Step};
use crate::dim::Dim;
use crate::kernel::Cond;
use crate::number::Number;
use crate::random::Random;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "pad",
    doc: "`x` with `before` elements put before and `after` elements put after it along each axis: `value`, the nearest \
          element of `x`, or `x` mirrored at its first and last element.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[
        common::attr("before", AttrKind::Dims, "elements put before, per axis"),
        common::attr("after", AttrKind::Dims, "elements put after, per axis"),
        common::attr("mode", AttrKind::Text, "`constant`, `edge` or `reflect`"),
        common::attr("value", AttrKind::Float, "the element of mode `constant`"),
    ],
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
    let (x, before, after) = (operands[0], attrs.dims("before"), attrs.dims("after"));
    common::check_dtype(Op::Pad, x.dtype, common::ANY)?;
    common::check_sizes(Op::Pad, before)?;
    common::check_sizes(Op::Pad, after)?;
    if before.len() != x.rank() || after.len() != x.rank() {
        return Err(invalid(Op::Pad, format!("padding of {} axes expected", x.rank())));
    }
    let least: fn(&Dim, &Dim) -> bool = match attrs.text("mode") {
        "constant" => |_, _| true,
        "edge" => |dim, pad| pad.is(0) || dim.bounds().1 > 0,
        "reflect" => |dim, pad| pad.is(0) || (dim.clone() - pad.clone()).bounds().1 > 0,
        mode => return Err(invalid(Op::Pad, format!("unknown mode `{mode}`"))),
    };
    if !x.dims.iter().zip(before.iter().zip(after)).all(|(dim, (a, b))| least(dim, a) && least(dim, b)) {
        return Err(invalid(Op::Pad, format!("{x} is too small to pad by {before:?} and {after:?}")));
    }
    let sum = |(axis, dim): (usize, &Dim)| dim.clone() + before[axis].clone() + after[axis].clone();
    Ok(TensorType { dtype: x.dtype, dims: x.dims.iter().enumerate().map(sum).collect() })
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, mode) = (operands[0], attrs.text("mode"));
    let before: Vec<i64> = attrs.dims("before").iter().map(Dim::as_constant).collect::<Option<_>>()?;
    let value = Number::float(output.dtype, attrs.float("value"));
    let base = common::eval_positions(output, |_| value)?;
    common::eval_move_over(base, x, |index| {
        let source = |axis: usize| place(mode, index[axis] as i64 - before[axis], x.shape()[axis] as i64);
        let index: Option<Vec<usize>> = (0..index.len()).map(source).collect();
        index.map(|index| common::offset(x.shape(), &index))
    })
}

/// Where position `at` of a padded axis comes from.
fn place(mode: &str, at: i64, size: i64) -> Option<usize> {
    let at = match mode {
        "edge" => at.clamp(0, (size - 1).max(0)),
        "reflect" if at < 0 => -at,
        "reflect" if at >= size => 2 * (size - 1) - at,
        _ => at,
    };
    usize::try_from(at).ok().filter(|_| at < size)
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (x, before) = (operands[0], attrs.dims("before"));
    let value = Number::float(output.dtype, attrs.float("value"));
    Some(Compute::map(operands, output, |body, coords| {
        let plain = coords.iter().zip(before).map(|(i, before)| i.clone() - before.clone());
        let parts = x.dims.iter().zip(plain);
        match attrs.text("mode") {
            "edge" => {
                body.load(0, parts.map(|(dim, at)| at.maximum(0).minimum(dim.clone() - 1.into())).collect());
            }
            "reflect" => {
                body.load(0, parts.enumerate().map(|(axis, (dim, at))| reflect(attrs, axis, dim, at)).collect());
            }
            _ => {
                let mut valid = Cond::default();
                for (axis, (dim, at)) in parts.clone().enumerate() {
                    valid = valid.and(inside(attrs, axis, dim, &at));
                }
                let coords = parts.map(|(_, at)| at).collect();
                body.push(Step::Load { input: 0, coords, valid: valid.simplify(), otherwise: value.to_bits() });
            }
        }
    }))
}

/// When `at` is not in the padding; sides without padding need no test.
fn inside(attrs: &Attrs, axis: usize, dim: &Dim, at: &Dim) -> Cond {
    let mut parts = Vec::new();
    if !attrs.dims("before")[axis].is(0) {
        parts.push(at.clone());
    }
    if !attrs.dims("after")[axis].is(0) {
        parts.push(dim.clone() - at.clone() - 1.into());
    }
    Cond(parts)
}

fn reflect(attrs: &Attrs, axis: usize, dim: &Dim, at: Dim) -> Dim {
    let unsigned = |at: Dim, padded: bool| if padded { at.maximum(-at.clone()) } else { at };
    let last = dim.clone() - 1.into();
    let at = unsigned(at, !attrs.dims("before")[axis].is(0));
    last.clone() - unsigned(last - at, !attrs.dims("after")[axis].is(0))
}

fn sample(random: &mut Random) -> Sample {
    let x = common::sample_type(random, (0, 4), common::ANY);
    let mode = random.pick(&["constant", "edge", "reflect"], "constant");
    let mut pads = |dim: &Dim| {
        let size = dim.as_constant().unwrap_or(0);
        let high = if mode == "constant" { 2 } else { (size - 1).clamp(0, 2) };
        Dim::constant(random.int(0, high))
    };
    let before: Vec<Dim> = x.dims.iter().map(&mut pads).collect();
    let after: Vec<Dim> = x.dims.iter().map(&mut pads).collect();
    let value = if x.dtype == DType::Bool { 1.0 } else { 3.0 };
    let sample = Sample { operands: vec![x], attrs: Attrs::new() }.with("before", before).with("after", after);
    sample.with("mode", mode).with("value", value)
}
