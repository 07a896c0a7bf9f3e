use super::common::{self, Resample};
use super::{Class, Op, OpDef, Operands, Sample, Tolerance, TypeError, Work, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::{Body, Compute, Step, StepId};
use crate::dim::{Dim, Symbol};
use crate::random::Random;
use crate::scalar::{BinaryOp, UnaryOp};
use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

pub(super) const DEF: OpDef = OpDef {
    name: "resize",
    doc: "`x` resampled to the sizes `dims`, as ONNX defines it; elements outside are those at the border. The scale of an \
          axis is its entry in `factors`, else in `scale_bits`, else the ratio of its sizes.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[
        common::DIMS,
        common::attr("factors", AttrKind::Ints, "whole scales per axis, 0 for none"),
        common::attr("scale_bits", AttrKind::Ints, "scales per axis as the bits of an f64, 0 for none"),
        common::attr("mode", AttrKind::Text, "`nearest`, `linear` or `cubic`"),
        common::attr("coordinate", AttrKind::Text, "how output positions map to positions in `x`"),
        common::attr("nearest", AttrKind::Text, "how positions are rounded in mode `nearest`"),
        common::attr("cubic_a", AttrKind::Float, "the coefficient of mode `cubic`"),
    ],
    class: Class::Other,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Window,
    infer,
    eval,
    lower,
    sample,
};

const MODES: &[&str] = &["nearest", "linear", "cubic"];
const COORDINATES: &[&str] = &["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"];
const ROUNDINGS: &[&str] = &["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"];
const TAP_LIMIT: usize = 16;

fn infer(operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
    let (x, dims) = (operands[0], attrs.dims("dims"));
    let nearest = attrs.text("mode") == "nearest";
    common::check_dtype(Op::Resize, x.dtype, if nearest { common::ANY } else { common::FLOATS })?;
    common::check_sizes(Op::Resize, dims)?;
    let (factors, scales) = (attrs.ints("factors"), attrs.ints("scale_bits"));
    if [dims.len(), factors.len(), scales.len()].iter().any(|count| *count != x.rank()) {
        return Err(invalid(Op::Resize, format!("sizes, factors and scales of {} axes expected", x.rank())));
    }
    for (name, known) in [("mode", MODES), ("coordinate", COORDINATES), ("nearest", ROUNDINGS)] {
        if !known.contains(&attrs.text(name)) {
            return Err(invalid(Op::Resize, format!("{name} `{}` is not one of {known:?}", attrs.text(name))));
        }
    }
    let usable = |bits: &i64| *bits == 0 || (f64::from_bits(*bits as u64).is_normal() && *bits > 0);
    if factors.iter().any(|factor| !(0..1 << 30).contains(factor)) || !scales.iter().all(usable) {
        return Err(invalid(Op::Resize, format!("factors {factors:?} and scales {scales:?}")));
    }
    if x.dims.iter().zip(dims).any(|(from, to)| from.is(0) && !to.is(0)) {
        return Err(invalid(Op::Resize, format!("{x} is empty")));
    }
    let taps: usize = plans(x, dims, attrs).iter().map(|plan| tap_count(plan, attrs)).product();
    if taps > TAP_LIMIT {
        let what = format!("mode `{}` with more than {TAP_LIMIT} elements for each one of the result", attrs.text("mode"));
        return Err(TypeError::Unsupported { op: Op::Resize.name(), what });
    }
    Ok(TensorType { dtype: x.dtype, dims: dims.to_vec() })
}

fn plans<'a>(x: &TensorType, dims: &[Dim], attrs: &'a Attrs) -> Vec<Resample<'a>> {
    let parts = x.dims.iter().zip(dims).enumerate();
    parts.map(|(axis, (from, to))| Resample::new(attrs, axis, from, to)).collect()
}

fn tap_count(plan: &Resample, attrs: &Attrs) -> usize {
    match attrs.text("mode") {
        _ if plan.is_identity() => 1,
        "linear" => 2,
        "cubic" => 4,
        _ => 1,
    }
}

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let (x, shape) = (operands[0], output.static_shape()?);
    let plans = plans(&x.ty(), &output.dims, attrs);
    let table = |plan: &Resample, size: usize| (0..size).map(|out| taps(plan, attrs, out as i64)).collect::<Option<Vec<_>>>();
    let tables: Vec<_> = plans.iter().zip(&shape).map(|(plan, size)| table(plan, *size)).collect::<Option<_>>()?;
    if attrs.text("mode") == "nearest" {
        return common::eval_move(x, output, |index| {
            let source: Vec<usize> = index.iter().zip(&tables).map(|(i, table)| table[*i][0].0).collect();
            Some(common::offset(x.shape(), &source))
        });
    }
    let (values, steps) = (x.to_f64(), common::strides(x.shape()));
    let mut result = Vec::with_capacity(element_count(&shape)?);
    common::for_each_index(&shape, |index| {
        let lines: Vec<&[(usize, f64)]> = index.iter().zip(&tables).map(|(i, table)| table[*i].as_slice()).collect();
        result.push(weigh(&lines, &steps, &values, 0));
    });
    Tensor::from_f64(output.dtype, &shape, &result)
}

/// The sum over all combinations of taps, each weighted along each axis.
fn weigh(lines: &[&[(usize, f64)]], steps: &[usize], values: &[f64], start: usize) -> f64 {
    let (Some((line, rest)), Some((step, steps))) = (lines.split_first(), steps.split_first()) else { return values[start] };
    line.iter().map(|(at, weight)| weight * weigh(rest, steps, values, start + at * step)).sum()
}

/// The positions and weights that output position `out` reads along one axis of constant sizes.
fn taps(plan: &Resample, attrs: &Attrs, out: i64) -> Option<Vec<(usize, f64)>> {
    if plan.is_identity() {
        return Some(vec![(out as usize, 1.0)]);
    }
    let (from, to) = (plan.from.as_constant()?, plan.to.as_constant()?);
    let nearest = attrs.text("mode") == "nearest";
    let (base, t) = if plan.is_fractional() {
        let position = plan.fraction(out as f32, from as f32, to as f32);
        let base = if nearest { common::round_fraction(attrs.text("nearest"), position) } else { position.floor() };
        (base as i64, f64::from(position - base))
    } else {
        let (above, below) = plan.ratio(&out.into());
        let base = common::round_ratio(if nearest { attrs.text("nearest") } else { "floor" }, &above, &below).as_constant()?;
        (base, above.as_constant()? as f64 / below.as_constant()? as f64 - base as f64)
    };
    let weights = match attrs.text("mode") {
        "nearest" => vec![(0, 1.0)],
        "linear" => vec![(0, 1.0 - t), (1, t)],
        _ => (-1..).zip(common::cubic_weights(attrs.float("cubic_a"), t)).collect(),
    };
    let place = |shift: i64| base.saturating_add(shift).clamp(0, from - 1) as usize;
    Some(weights.into_iter().map(|(shift, weight)| (place(shift), weight)).collect())
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let plans = plans(operands[0], &output.dims, attrs);
    let dtype = if attrs.text("mode") == "nearest" { output.dtype } else { common::accumulator(output.dtype) };
    Some(Compute::map(operands, output, |body, coords| {
        let mut lowering = Lowering { body, attrs, ty: output.dtype, dtype, dynamic: 0 };
        let lines: Vec<Vec<Tap>> = plans.iter().zip(coords).map(|(plan, out)| lowering.taps(plan, out)).collect();
        let result = lowering.weigh(&lines, Vec::new());
        common::cast(body, dtype, output.dtype, result);
    }))
}

/// A coordinate in `x`, and its weight unless it is 1.
type Tap = (Dim, Option<StepId>);

struct Lowering<'a> {
    body: &'a mut Body,
    attrs: &'a Attrs,
    ty: DType,
    dtype: DType,
    dynamic: u32,
}

impl Lowering<'_> {
    fn taps(&mut self, plan: &Resample, out: &Dim) -> Vec<Tap> {
        if plan.is_identity() {
            return vec![(out.clone(), None)];
        }
        let last = plan.from.clone() - 1.into();
        let nearest = self.attrs.text("mode") == "nearest";
        if nearest && let Some(at) = self.repeated(plan, out) {
            return vec![(at, None)];
        }
        let (base, t) = if plan.is_fractional() { self.fraction(plan, out) } else { self.ratio(plan, out) };
        let place = |shift: i64| (base.clone() + shift.into()).maximum(0).minimum(last.clone());
        match (self.attrs.text("mode"), t) {
            ("linear", Some(t)) => {
                let rest = self.constant_minus(1.0, t);
                vec![(place(0), Some(rest)), (place(1), Some(t))]
            }
            ("cubic", Some(t)) => (-1..).map(place).zip(self.cubic(t).map(Some)).collect(),
            _ => vec![(place(0), None)],
        }
    }

    /// The coordinate where each element is repeated a whole number of times.
    fn repeated(&self, plan: &Resample, out: &Dim) -> Option<Dim> {
        let floor = plan.coordinate == "asymmetric" && self.attrs.text("nearest") == "floor";
        let round = plan.has_half_pixels() && self.attrs.text("nearest").starts_with("round");
        let fits = floor || (round && plan.switch().is(1));
        plan.growth().filter(|_| fits).map(|factor| out.floor_div(factor))
    }

    /// The whole position and the rest of a position that is a ratio of integers; in mode `nearest` no rest.
    fn ratio(&mut self, plan: &Resample, out: &Dim) -> (Dim, Option<StepId>) {
        let (above, below) = plan.ratio(out);
        if self.attrs.text("mode") == "nearest" {
            return (common::round_ratio(self.attrs.text("nearest"), &above, &below), None);
        }
        let base = above.floor_div(below.clone());
        let rest = self.body.push(Step::Index(above - base.clone() * below.clone(), self.dtype));
        let below = self.body.push(Step::Index(below, self.dtype));
        (base, Some(self.body.binary(BinaryOp::Div, rest, below)))
    }

    /// The whole position and the rest of a position that is calculated in f32.
    fn fraction(&mut self, plan: &Resample, out: &Dim) -> (Dim, Option<StepId>) {
        let position = self.position(plan, out);
        let (low, high) =
            (self.body.float(DType::F32, -2.0), self.body.push(Step::Index(plan.from.clone() + 2.into(), DType::F32)));
        let position = self.body.binary(BinaryOp::Max, position, low);
        let position = self.body.binary(BinaryOp::Min, position, high);
        let whole = self.round(position);
        let integer = self.body.push(Step::Cast(DType::I64, whole));
        let limit = (plan.from.clone() + 3.into()).bounds().1;
        let symbol = Symbol::new(format!("%d{}", self.dynamic), -3, limit);
        self.dynamic += 1;
        self.body.push(Step::Dynamic(symbol.clone(), integer));
        let rest = self.body.binary(BinaryOp::Sub, position, whole);
        (Dim::symbol(&symbol), Some(common::cast(self.body, DType::F32, self.dtype_of_weights(), rest)))
    }

    fn dtype_of_weights(&self) -> DType {
        if self.attrs.text("mode") == "nearest" { DType::F32 } else { self.dtype }
    }

    fn position(&mut self, plan: &Resample, out: &Dim) -> StepId {
        let ty = DType::F32;
        let half = if plan.has_half_pixels() { 0.5 } else { 0.0 };
        let (scale, half) = (self.body.number(ty, plan.scale), self.body.float(ty, half));
        let out = self.body.push(Step::Index(out.clone(), ty));
        let middle = self.body.binary(BinaryOp::Add, out, half);
        let scaled = self.body.binary(BinaryOp::Div, middle, scale);
        let position = self.body.binary(BinaryOp::Sub, scaled, half);
        match plan.coordinate {
            "half_pixel_symmetric" => {
                let [from, to] = [&plan.from, &plan.to].map(|dim| self.body.push(Step::Index(dim.clone(), ty)));
                let (used, factor) = (self.body.binary(BinaryOp::Div, to, scale), self.body.float(ty, 0.5));
                let unused = self.body.binary(BinaryOp::Sub, from, used);
                let shift = self.body.binary(BinaryOp::Mul, unused, factor);
                self.body.binary(BinaryOp::Add, position, shift)
            }
            "pytorch_half_pixel" => {
                let switch = self.body.push(Step::Index(plan.switch(), ty));
                self.body.binary(BinaryOp::Mul, position, switch)
            }
            _ => position,
        }
    }

    fn round(&mut self, position: StepId) -> StepId {
        let half = self.body.float(DType::F32, 0.5);
        let rounding = if self.attrs.text("mode") == "nearest" { self.attrs.text("nearest") } else { "floor" };
        match rounding {
            "floor" => self.body.unary(UnaryOp::Floor, position),
            "ceil" => self.body.unary(UnaryOp::Ceil, position),
            "round_prefer_ceil" => {
                let raised = self.body.binary(BinaryOp::Add, position, half);
                self.body.unary(UnaryOp::Floor, raised)
            }
            _ => {
                let lowered = self.body.binary(BinaryOp::Sub, position, half);
                self.body.unary(UnaryOp::Ceil, lowered)
            }
        }
    }

    fn constant_minus(&mut self, constant: f64, x: StepId) -> StepId {
        let constant = self.body.float(self.dtype, constant);
        self.body.binary(BinaryOp::Sub, constant, x)
    }

    /// The polynomial with `coefficients`, the highest first.
    fn polynomial(&mut self, x: StepId, coefficients: [f64; 4]) -> StepId {
        let [first, rest @ ..] = coefficients.map(|value| self.body.float(self.dtype, value));
        rest.into_iter().fold(first, |sum, coefficient| {
            let product = self.body.binary(BinaryOp::Mul, sum, x);
            self.body.binary(BinaryOp::Add, product, coefficient)
        })
    }

    fn cubic(&mut self, t: StepId) -> [StepId; 4] {
        let a = self.attrs.float("cubic_a");
        let one = self.body.float(self.dtype, 1.0);
        let (next, back, far) =
            (self.body.binary(BinaryOp::Add, t, one), self.constant_minus(1.0, t), self.constant_minus(2.0, t));
        let (outer, inner) = ([a, -5.0 * a, 8.0 * a, -4.0 * a], [a + 2.0, -(a + 3.0), 0.0, 1.0]);
        [(next, outer), (t, inner), (back, inner), (far, outer)].map(|(x, coefficients)| self.polynomial(x, coefficients))
    }

    /// The sum over all combinations of taps, each weighted along each axis.
    fn weigh(&mut self, lines: &[Vec<Tap>], coords: Vec<Dim>) -> StepId {
        let Some((line, rest)) = lines.split_first() else {
            let load = self.body.load(0, coords);
            return common::cast(self.body, self.ty, self.dtype, load);
        };
        let mut sum = None;
        for (at, weight) in line {
            let part = self.weigh(rest, [&coords[..], std::slice::from_ref(at)].concat());
            let part = weight.map_or(part, |weight| self.body.binary(BinaryOp::Mul, part, weight));
            sum = Some(sum.map_or(part, |sum| self.body.binary(BinaryOp::Add, sum, part)));
        }
        sum.unwrap_or(StepId(0))
    }
}

fn sample(random: &mut Random) -> Sample {
    let mode = random.pick(MODES, "nearest");
    let dtype = random.pick(if mode == "nearest" { common::ANY } else { common::FLOATS }, DType::F32);
    let (mut from, mut to, mut factors, mut scales) = (vec![1, 2], vec![1, 2], vec![0, 0], vec![0, 0]);
    for _ in 0..random.int(1, 2) {
        let size = random.int(1, 5);
        let factor = if random.one_in(3) { random.int(1, 3) } else { 0 };
        let scale = if factor == 0 && random.one_in(2) { random.float(0.4, 2.5) } else { 0.0 };
        let scaled = if scale > 0.0 { ((size as f64 * scale) as i64).max(1) } else { random.int(1, 9) };
        from.push(size);
        to.push(if factor > 0 { size * factor } else { scaled });
        factors.push(factor);
        scales.push(scale.to_bits() as i64);
    }
    let dims: Vec<Dim> = to.into_iter().map(Dim::constant).collect();
    let sample = Sample { operands: vec![TensorType::new(dtype, from)], attrs: Attrs::new() };
    let sample = sample.with("dims", dims).with("factors", factors).with("scale_bits", scales).with("mode", mode);
    let coordinate = random.pick(COORDINATES, "half_pixel");
    sample.with("coordinate", coordinate).with("nearest", random.pick(ROUNDINGS, "floor")).with("cubic_a", -0.75)
}
