//! Sampling images at positions between their elements.

use super::shape::sizes;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::node_error::{NodeError, NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("AffineGrid", affine_grid),
    Operator::standard("GridSample", grid_sample),
    Operator::standard("RoiAlign", roi_align),
];

/// The maximum number of spatial axes that are sampled.
const MAX_AXES: usize = 3;

/// A size as a number of the given type.
fn number(cx: &mut Importer, dtype: DType, size: &Dim) -> NodeResult<Operand> {
    let known: Operand = Known::scalar(DType::I64, size.clone()).into();
    cx.cast(&known, dtype)
}

/// The coordinate along one of `rank` axes as numbers, with size 1 along the others.
fn ramp(cx: &mut Importer, dtype: DType, rank: usize, axis: usize, size: &Dim) -> NodeResult<Operand> {
    let mut dims = vec![Dim::constant(1); rank];
    dims[axis] = size.clone();
    let positions = cx.iota(DType::I64, &dims, axis)?;
    cx.cast(&positions, dtype)
}

/// From -1 to 1 over an axis: at the centers of the outer elements, or at their outer edges.
fn normalized(cx: &mut Importer, dtype: DType, rank: usize, axis: usize, size: &Dim, corners: bool) -> NodeResult<Operand> {
    let positions = ramp(cx, dtype, rank, axis, size)?;
    let doubled = cx.with_scalar(Op::Mul, &positions, 2.0)?;
    let (shifted, width) = match corners {
        true => (doubled, size.clone() - 1.into()),
        false => (cx.with_scalar(Op::Add, &doubled, 1.0)?, size.clone()),
    };
    let width = number(cx, dtype, &width)?;
    let scaled = cx.div(&shifted, &width)?;
    cx.with_scalar(Op::Sub, &scaled, 1.0)
}

fn affine_grid(cx: &mut Importer, node: &Node) -> Results {
    let (theta, size) = (node.input(0)?, sizes(node.input(1)?, "the size of the grid")?);
    let (dtype, dims) = (cx.dtype(theta), cx.dims(theta));
    let count = size.len().saturating_sub(2);
    if dims.len() != 3 || !(1..=MAX_AXES).contains(&count) {
        return invalid(format!("transforms of shape {dims:?} do not fit the size {size:?}"));
    }
    let corners = node.flag("align_corners", false);
    let mut sums = Vec::new();
    for row in 0..count as i64 {
        let factors = cx.take(theta, 1, row)?;
        let factor = |cx: &mut Importer, column: usize| {
            let column = cx.take(&factors, 1, column as i64)?;
            let mut shape = vec![Dim::constant(1); count + 1];
            shape[0] = dims[0].clone();
            cx.reshape(&column, &shape)
        };
        let mut sum = factor(cx, count)?;
        for column in 0..count {
            let axis = count - 1 - column;
            let coordinate = normalized(cx, dtype, count + 1, axis + 1, &size[axis + 2], corners)?;
            let factor = factor(cx, column)?;
            let term = cx.mul(&factor, &coordinate)?;
            sum = cx.add(&sum, &term)?;
        }
        sums.push(sum);
    }
    let grid = cx.stack(&sums, count + 1)?;
    one(grid)
}

/// How positions outside of the image are treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// Element positions along one axis with their weights and, where elements may be missing, whether they exist.
struct Tap {
    position: Operand,
    weight: Option<Operand>,
    exists: Option<Operand>,
}

/// One axis of the image.
struct Axis {
    dtype: DType,
    size: Dim,
    corners: bool,
    outside: Outside,
}

impl Axis {
    /// Coordinates in -1..1 as positions of elements.
    fn position(&self, cx: &mut Importer, coordinate: &Operand) -> NodeResult<Operand> {
        let shifted = cx.with_scalar(Op::Add, coordinate, 1.0)?;
        let width = if self.corners { self.size.clone() - 1.into() } else { self.size.clone() };
        let width = number(cx, self.dtype, &width)?;
        let scaled = cx.mul(&shifted, &width)?;
        let centered = if self.corners { scaled } else { cx.with_scalar(Op::Sub, &scaled, 1.0)? };
        cx.with_scalar(Op::Mul, &centered, 0.5)
    }

    fn clamp(&self, cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
        let last = number(cx, self.dtype, &(self.size.clone() - 1.into()))?;
        let low = cx.with_scalar(Op::Maximum, x, 0.0)?;
        cx.binary(Op::Minimum, &low, &last)
    }

    /// Positions folded back into the image, as often as necessary.
    fn reflect(&self, cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
        let (low, width) = if self.corners { (0.0, self.size.clone() - 1.into()) } else { (-0.5, self.size.clone()) };
        let width = number(cx, self.dtype, &width)?;
        let period = cx.with_scalar(Op::Mul, &width, 2.0)?;
        let distance = cx.with_scalar(Op::Sub, x, low)?;
        let distance = cx.unary(Op::Abs, &distance)?;
        let forward = cx.binary(Op::Modulo, &distance, &period)?;
        let backward = cx.sub(&period, &forward)?;
        let nearest = cx.binary(Op::Minimum, &forward, &backward)?;
        cx.with_scalar(Op::Add, &nearest, low)
    }

    fn inside(&self, cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
        match self.outside {
            Outside::Zeros => Ok(x.clone()),
            Outside::Border => self.clamp(cx, x),
            Outside::Reflection => self.reflect(cx, x),
        }
    }

    /// The element at a whole position.
    fn tap(&self, cx: &mut Importer, whole: &Operand, weight: Option<Operand>) -> NodeResult<Tap> {
        let folded = self.inside(cx, whole)?;
        let clamped = self.clamp(cx, &folded)?;
        let exists = (self.outside == Outside::Zeros).then(|| cx.binary(Op::Equal, &clamped, whole)).transpose()?;
        Ok(Tap { position: cx.cast(&clamped, DType::I64)?, weight, exists })
    }

    /// The elements that take part at `x`.
    fn taps(&self, cx: &mut Importer, x: &Operand, mode: Mode) -> NodeResult<Vec<Tap>> {
        if mode == Mode::Nearest {
            let nearest = cx.unary(Op::Round, x)?;
            return Ok(vec![self.tap(cx, &nearest, None)?]);
        }
        let x = if mode == Mode::Cubic { x.clone() } else { self.inside(cx, x)? };
        let whole = cx.unary(Op::Floor, &x)?;
        let fraction = cx.sub(&x, &whole)?;
        let mut taps = Vec::new();
        for offset in if mode == Mode::Cubic { -1..=2 } else { 0..=1 } {
            let position = cx.with_scalar(Op::Add, &whole, f64::from(offset))?;
            let distance = cx.with_scalar(Op::Sub, &fraction, f64::from(offset))?;
            let distance = cx.unary(Op::Abs, &distance)?;
            let weight = match mode {
                Mode::Cubic => cubic(cx, &distance, offset == 0 || offset == 1)?,
                Mode::Linear | Mode::Nearest => cx.scalar_with(Op::Sub, 1.0, &distance)?,
            };
            taps.push(self.tap(cx, &position, Some(weight))?);
        }
        Ok(taps)
    }
}

/// The weight of an element at a distance, up to 1 or from 1 to 2.
fn cubic(cx: &mut Importer, distance: &Operand, near: bool) -> NodeResult<Operand> {
    const A: f64 = -0.75;
    let factors = if near { [A + 2.0, -(A + 3.0), 0.0, 1.0] } else { [A, -5.0 * A, 8.0 * A, -4.0 * A] };
    let mut sum = cx.scalar_like(distance, 0.0)?;
    for factor in factors {
        let scaled = cx.mul(&sum, distance)?;
        sum = cx.with_scalar(Op::Add, &scaled, factor)?;
    }
    Ok(sum)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

fn style(node: &Node) -> NodeResult<(Mode, Outside)> {
    let mode = match node.text("mode", "linear").as_str() {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" | "bicubic" => Mode::Cubic,
        other => return unsupported(format!("the mode `{other}` is not known")),
    };
    let outside = match node.text("padding_mode", "zeros").as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return unsupported(format!("the padding mode `{other}` is not known")),
    };
    Ok((mode, outside))
}

fn grid_sample(cx: &mut Importer, node: &Node) -> Results {
    let (x, grid) = (node.input(0)?, node.input(1)?);
    let (dims, grid_dims) = (cx.dims(x), cx.dims(grid));
    let count = dims.len().saturating_sub(2);
    if grid_dims.len() != dims.len() || !(1..=MAX_AXES).contains(&count) || !grid_dims[count + 1].is(count as i64) {
        return invalid(format!("a grid of shape {grid_dims:?} does not fit an image of shape {dims:?}"));
    }
    let (mode, outside) = style(node)?;
    let mut taps = Vec::new();
    for (i, size) in dims[2..].iter().enumerate() {
        let axis = Axis { dtype: cx.dtype(grid), size: size.clone(), corners: node.flag("align_corners", false), outside };
        let coordinate = cx.take(grid, count + 1, (count - 1 - i) as i64)?;
        let position = axis.position(cx, &coordinate)?;
        taps.push(axis.taps(cx, &position, mode)?);
    }
    let outer = [&dims[..2], &grid_dims[1..=count]].concat();
    let batch = cx.iota(DType::I64, &[grid_dims[0].clone()], 0)?;
    let terms = terms(cx, x, &batch, &taps, &outer)?;
    one(total(cx, &terms)?)
}

fn total(cx: &mut Importer, terms: &[Operand]) -> NodeResult<Operand> {
    let Some((first, rest)) = terms.split_first() else { return invalid("nothing to sample") };
    rest.iter().try_fold(first.clone(), |sum, term| cx.add(&sum, term))
}

/// The weighted elements of `x` for all combinations of taps along its spatial axes. Taps have the dims of `outer` but its
/// second one, the channels; `batch` tells which image each of the first dim reads.
fn terms(cx: &mut Importer, x: &Operand, batch: &Operand, taps: &[Vec<Tap>], outer: &[Dim]) -> NodeResult<Vec<Operand>> {
    let dims = cx.dims(x);
    let flat = cx.reshape(x, &[cx.ty(x).element_count()])?;
    let plane = product(&dims[2..]);
    let base = {
        let mut shape = vec![Dim::constant(1); outer.len()];
        shape[0] = outer[0].clone();
        let batch = cx.reshape(batch, &shape)?;
        let image = scaled(cx, &batch, &(dims[1].clone() * plane.clone()))?;
        shape[0] = 1.into();
        shape[1] = dims[1].clone();
        let channel = cx.iota(DType::I64, &shape, 1)?;
        let channel = scaled(cx, &channel, &plane)?;
        cx.add(&image, &channel)?
    };
    let combinations: usize = taps.iter().map(Vec::len).product();
    let mut terms = Vec::new();
    for number in 0..combinations {
        let mut rest = number;
        let chosen: Vec<&Tap> = taps.iter().map(|taps| pick(taps, &mut rest)).collect();
        terms.push(term(cx, &flat, &base, &chosen, &dims[2..])?);
    }
    Ok(terms)
}

/// The tap that the lowest digit of a number names.
fn pick<'a>(taps: &'a [Tap], number: &mut usize) -> &'a Tap {
    let tap = &taps[*number % taps.len()];
    *number /= taps.len();
    tap
}

fn scaled(cx: &mut Importer, x: &Operand, factor: &Dim) -> NodeResult<Operand> {
    let factor: Operand = Known::scalar(DType::I64, factor.clone()).into();
    cx.mul(x, &factor)
}

/// Inserts the axis of channels.
fn with_channels(cx: &mut Importer, x: &Operand) -> NodeResult<Operand> {
    let mut dims = cx.dims(x);
    dims.insert(1, 1.into());
    cx.reshape(x, &dims)
}

fn term(cx: &mut Importer, flat: &Operand, base: &Operand, taps: &[&Tap], sizes: &[Dim]) -> NodeResult<Operand> {
    let mut position = base.clone();
    for (i, tap) in taps.iter().enumerate() {
        let own = with_channels(cx, &tap.position)?;
        let offset = scaled(cx, &own, &product(&sizes[i + 1..]))?;
        position = cx.add(&position, &offset)?;
    }
    let mut value = cx.op(Op::Gather, Attrs::new().with("axis", 0), &[flat, &position])?;
    let dtype = cx.dtype(&value);
    for tap in taps {
        if let Some(weight) = &tap.weight {
            let weight = cx.cast(weight, dtype)?;
            let weight = with_channels(cx, &weight)?;
            value = cx.mul(&value, &weight)?;
        }
    }
    for exists in taps.iter().filter_map(|tap| tap.exists.as_ref()) {
        let (exists, zero) = (with_channels(cx, exists)?, cx.scalar_like(&value, 0.0)?);
        value = cx.select(&exists, &value, &zero)?;
    }
    Ok(value)
}

/// The sample positions of regions along one axis of the image, [regions, 1.., bins * samples, 1..].
struct Regions<'a> {
    regions: &'a Operand,
    /// Scale from regions to the image.
    scale: f64,
    half_pixel: bool,
    samples: i64,
}

impl Regions<'_> {
    /// Two taps for each sample: `axis` is 0 for rows and 1 for columns, `bins` the number of results along it.
    fn taps(&self, cx: &mut Importer, axis: usize, bins: i64, size: &Dim) -> NodeResult<Vec<Tap>> {
        let dtype = cx.dtype(self.regions);
        let count = cx.dims(self.regions)[0].clone();
        let edge = |cx: &mut Importer, column: i64| {
            let edge = cx.take(self.regions, 1, column)?;
            let edge = cx.with_scalar(Op::Mul, &edge, self.scale)?;
            let edge = cx.with_scalar(Op::Sub, &edge, if self.half_pixel { 0.5 } else { 0.0 })?;
            cx.reshape(&edge, &[count.clone(), 1.into(), 1.into()])
        };
        let (start, end) = (edge(cx, 1 - axis as i64)?, edge(cx, 3 - axis as i64)?);
        let mut width = cx.sub(&end, &start)?;
        if !self.half_pixel {
            width = cx.with_scalar(Op::Maximum, &width, 1.0)?;
        }
        let step = cx.with_scalar(Op::Mul, &width, 1.0 / (bins * self.samples) as f64)?;
        let places = ramp(cx, dtype, 3, axis + 1, &(bins * self.samples).into())?;
        let places = cx.with_scalar(Op::Add, &places, 0.5)?;
        let offset = cx.mul(&places, &step)?;
        let position = cx.add(&start, &offset)?;
        self.around(cx, &position, size)
    }

    /// The elements below and above a position; none where it is more than one element outside.
    fn around(&self, cx: &mut Importer, position: &Operand, size: &Dim) -> NodeResult<Vec<Tap>> {
        let dtype = cx.dtype(position);
        let axis = Axis { dtype, size: size.clone(), corners: true, outside: Outside::Border };
        let limit = number(cx, dtype, size)?;
        let (low, high) = (cx.scalar_with(Op::LessEqual, -1.0, position)?, cx.binary(Op::LessEqual, position, &limit)?);
        let exists = cx.binary(Op::And, &low, &high)?;
        let inside = axis.clamp(cx, position)?;
        let below = cx.unary(Op::Floor, &inside)?;
        let fraction = cx.sub(&inside, &below)?;
        let (near, above) = (cx.scalar_with(Op::Sub, 1.0, &fraction)?, cx.with_scalar(Op::Add, &below, 1.0)?);
        let mut taps = [axis.tap(cx, &below, Some(near))?, axis.tap(cx, &above, Some(fraction))?];
        taps.iter_mut().for_each(|tap| tap.exists = Some(exists.clone()));
        Ok(taps.into())
    }
}

fn roi_align(cx: &mut Importer, node: &Node) -> Results {
    const HALF_PIXEL_SINCE: i64 = 16;
    let (x, regions, batch) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let dims = cx.dims(x);
    let [count, _] = cx.dims(regions).try_into().map_err(|_| NodeError::Invalid("the regions must have two axes".to_string()))?;
    let (height, width, samples) = (node.int("output_height", 1), node.int("output_width", 1), node.int("sampling_ratio", 0));
    if dims.len() != 4 || [height, width].iter().any(|size| !(1..=1 << 12).contains(size)) {
        return invalid(format!("results of size {height} by {width} from an image of shape {dims:?}"));
    }
    if !(1..=64).contains(&samples) {
        return unsupported("a `sampling_ratio` that depends on the regions is not supported; give a number from 1 to 64");
    }
    let default = if node.opset < HALF_PIXEL_SINCE { "output_half_pixel" } else { "half_pixel" };
    let half_pixel = node.text("coordinate_transformation_mode", default) == "half_pixel";
    let source = Regions { regions, scale: node.float("spatial_scale", 1.0), half_pixel, samples };
    let taps = [source.taps(cx, 0, height, &dims[2])?, source.taps(cx, 1, width, &dims[3])?];
    let outer = [count.clone(), dims[1].clone(), (height * samples).into(), (width * samples).into()];
    let batch = cx.cast(batch, DType::I64)?;
    let terms = terms(cx, x, &batch, &taps, &outer)?;
    let bins = [count.clone(), dims[1].clone(), height.into(), samples.into(), width.into(), samples.into()];
    let (values, fold) = match node.text("mode", "avg").as_str() {
        "avg" => (total(cx, &terms)?, Op::ReduceMean),
        "max" => (largest(cx, &terms)?, Op::ReduceMax),
        other => return unsupported(format!("the mode `{other}` is not known")),
    };
    let values = cx.reshape(&values, &bins)?;
    let result = cx.reduce(fold, &values, &[3, 5])?;
    one(cx.reshape(&result, &[count, dims[1].clone(), height.into(), width.into()])?)
}

fn largest(cx: &mut Importer, terms: &[Operand]) -> NodeResult<Operand> {
    let Some((first, rest)) = terms.split_first() else { return invalid("nothing to sample") };
    rest.iter().try_fold(first.clone(), |best, term| cx.binary(Op::Maximum, &best, term))
}
