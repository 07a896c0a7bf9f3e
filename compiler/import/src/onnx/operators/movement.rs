//! Moving elements: slices, joins, permutations, padding.

use super::shape::sizes;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::movement::{AxisSlice, smaller};
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeError, NodeResult, invalid, unsupported};
use crate::onnx::number::is_at_most;
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("CenterCropPad", center),
    Operator::standard("Concat", concat),
    Operator::standard("DepthToSpace", depth_to_space),
    Operator::standard("Pad", pad),
    Operator::standard("Slice", slice),
    Operator::standard("SpaceToDepth", space_to_depth),
    Operator::standard("Split", split),
    Operator::standard("Tile", tile),
    Operator::standard("Transpose", transpose),
];

/// Bounds from here on mean the end of an axis of unknown size.
const END: i64 = 1_000_000_000;

fn concat(cx: &mut Importer, node: &Node) -> Results {
    let parts = node.all()?;
    let axis = axis(node.int("axis", 1), cx.rank(node.input(0)?))?;
    one(cx.concat(&parts, axis)?)
}

fn transpose(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let perm = match node.ints("perm").filter(|perm| !perm.is_empty()) {
        Some(perm) => perm.iter().map(|i| axis(*i, rank)).collect::<NodeResult<Vec<usize>>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.into_iter().ne(0..rank) {
        return invalid(format!("{perm:?} is not a permutation of {rank} axes"));
    }
    one(cx.transpose(x, &perm)?)
}

fn split(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let dims = cx.dims(x);
    let axis = axis(node.int("axis", 0), dims.len())?;
    let widths = match (node.ints("split"), node.optional(1)?) {
        (Some(list), _) => list.into_iter().map(Dim::constant).collect(),
        (None, Some(item)) => sizes(item, "the sizes of the parts")?,
        (None, None) => equal_parts(&dims[axis], node)?,
    };
    let total = widths.iter().fold(Dim::default(), |total, width| total + width.clone());
    cx.unify(&dims[axis], &total, "the sizes of the parts of an axis")?;
    let mut start = Dim::default();
    let mut parts = Vec::new();
    for width in widths {
        parts.push(cx.slice_axis(x, axis, AxisSlice::new(start.clone(), width.clone()))?);
        start = start + width;
    }
    Ok(parts)
}

fn equal_parts(size: &Dim, node: &Node) -> NodeResult<Vec<Dim>> {
    let count = node.int("num_outputs", node.proto.output.len() as i64);
    if !(1..=node.proto.output.len() as i64).contains(&count) {
        return invalid(format!("{count} parts do not fit the node's results"));
    }
    let width = size.ceil_div(count);
    let mut widths = vec![width.clone(); count as usize];
    if let Some(last) = widths.last_mut() {
        *last = size.clone() - width * (count - 1).into();
    }
    Ok(widths)
}

struct Bounds {
    starts: Vec<Dim>,
    ends: Vec<Dim>,
    axes: Vec<i64>,
    steps: Vec<i64>,
}

fn bounds(node: &Node) -> NodeResult<Bounds> {
    let list = |values: Vec<i64>| values.into_iter().map(Dim::constant).collect::<Vec<Dim>>();
    let (starts, ends) = match (node.ints("starts"), node.ints("ends")) {
        (Some(starts), Some(ends)) => (list(starts), list(ends)),
        _ => (sizes(node.input(1)?, "the start")?, sizes(node.input(2)?, "the end")?),
    };
    let axes = node.integers_or_attribute(3, "axes")?.unwrap_or((0..starts.len() as i64).collect());
    let steps = node.integers(4, "the step")?.unwrap_or(vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|count| *count != starts.len()) {
        return invalid("starts, ends, axes and steps differ in number");
    }
    Ok(Bounds { starts, ends, axes, steps })
}

fn slice(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let dims = cx.dims(x);
    let mut ranges: Vec<AxisSlice> = dims.iter().map(AxisSlice::all).collect();
    let bounds = bounds(node)?;
    for (i, given) in bounds.axes.iter().enumerate() {
        let axis = axis(*given, dims.len())?;
        ranges[axis] = range(&dims[axis], &bounds.starts[i], &bounds.ends[i], bounds.steps[i])?;
    }
    one(cx.slice(x, &ranges)?)
}

/// The part of an axis from `start` to `end`, which count from the end of the axis where they are negative.
fn range(size: &Dim, start: &Dim, end: &Dim, step: i64) -> NodeResult<AxisSlice> {
    if step == 0 || step.unsigned_abs() > END as u64 {
        return invalid(format!("the step {step}"));
    }
    if step > 0 {
        let (start, end) = (position(size, start, 0, size)?, position(size, end, 0, size)?);
        let size = at_least_zero((end - start.clone()).ceil_div(step));
        return Ok(AxisSlice { start, size, step });
    }
    let last = size.clone() - 1.into();
    let (start, end) = (position(size, start, 0, &last)?, position(size, end, -1, &last)?);
    let size = at_least_zero((start.clone() - end).ceil_div(-step));
    Ok(AxisSlice { start, size, step })
}

fn at_least_zero(size: Dim) -> Dim {
    if is_at_most(&0.into(), &size) { size } else { size.maximum(0) }
}

/// A bound counted from the start of the axis, limited to `low..=high`.
fn position(size: &Dim, bound: &Dim, low: i64, high: &Dim) -> NodeResult<Dim> {
    let (least, most) = bound.bounds();
    if least >= END && size.as_constant().is_none() {
        return Ok(high.clone());
    }
    if most <= -END && size.as_constant().is_none() {
        return Ok(low.into());
    }
    let low = Dim::constant(low);
    if least >= 0 {
        return Ok(smaller(bound, high));
    }
    let counted = size.clone() + bound.clone();
    let limited = if is_at_most(&low, &counted) { counted } else { counted.maximum(low) };
    match most < 0 || is_at_most(&limited, high) && bound.as_constant().is_some() {
        true => Ok(limited),
        false => undecided(size, bound, high),
    }
}

/// A symbolic bound that may have either sign: a difference such as `n - 1` is taken as not negative when adding the size
/// to it would leave the axis.
fn undecided(size: &Dim, bound: &Dim, high: &Dim) -> NodeResult<Dim> {
    let from_end = bound.clone() + size.clone();
    if is_at_most(&(high.clone() + 1.into()), &from_end) {
        return Ok(smaller(bound, high));
    }
    Err(NodeError::Unsupported(format!("the bound {bound} may be negative or not; fix the shape with --shape")))
}

fn pad(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let pads = match node.ints("pads").or(node.ints("paddings")) {
        Some(pads) => pads.into_iter().map(Dim::constant).collect(),
        None => sizes(node.input(1)?, "the padding")?,
    };
    let axes = match node.integers(3, "the axes")? {
        Some(axes) => axes.iter().map(|i| axis(*i, rank)).collect::<NodeResult<Vec<usize>>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return invalid(format!("padding {pads:?} for {} axes", axes.len()));
    }
    let (mut before, mut after) = (vec![Dim::default(); rank], vec![Dim::default(); rank]);
    for (i, axis) in axes.iter().enumerate() {
        (before[*axis], after[*axis]) = (pads[i].clone(), pads[axes.len() + i].clone());
    }
    let value = match node.optional(2)? {
        Some(item) => item.floats().and_then(|values| values.first().copied()),
        None => Some(node.float("value", 0.0)),
    };
    let Some(value) = value else { return unsupported("padding with a value that is not constant is not supported") };
    let x = crop(cx, x, &mut before, &mut after)?;
    match node.text("mode", "constant").as_str() {
        mode @ ("constant" | "edge" | "reflect") => one(cx.pad(&x, before, after, mode, value)?),
        "wrap" => one(wrapped(cx, &x, &before, &after)?),
        mode => unsupported(format!("padding mode `{mode}` is not supported")),
    }
}

/// Pads with what follows when the elements are repeated.
fn wrapped(cx: &mut Importer, x: &Operand, before: &[Dim], after: &[Dim]) -> NodeResult<Operand> {
    let mut result = x.clone();
    for (axis, size) in cx.dims(x).into_iter().enumerate().filter(|(i, _)| !before[*i].is(0) || !after[*i].is(0)) {
        let count = before[axis].clone() + size.clone() + after[axis].clone();
        let places = cx.iota(DType::I64, &[count], 0)?;
        let (start, size) = (Known::scalar(DType::I64, before[axis].clone()).into(), Known::scalar(DType::I64, size).into());
        let places = cx.sub(&places, &start)?;
        let places = cx.binary(Op::Modulo, &places, &size)?;
        result = cx.op(Op::Gather, Attrs::new().with("axis", axis as i64), &[&result, &places])?;
    }
    Ok(result)
}

/// Cuts or pads both ends of some axes by the same number of elements.
fn center(cx: &mut Importer, node: &Node) -> Results {
    let (x, wanted) = (node.input(0)?, sizes(node.input(1)?, "the shape")?);
    let (mut ranges, mut dims): (Vec<AxisSlice>, _) = (cx.dims(x).iter().map(AxisSlice::all).collect(), cx.dims(x));
    let axes = match node.ints("axes") {
        Some(axes) => axes.iter().map(|i| axis(*i, dims.len())).collect::<NodeResult<Vec<usize>>>()?,
        None => (0..dims.len()).collect(),
    };
    if axes.len() != wanted.len() {
        return invalid(format!("{} sizes for {} axes", wanted.len(), axes.len()));
    }
    let (mut before, mut after) = (vec![Dim::default(); dims.len()], vec![Dim::default(); dims.len()]);
    for (axis, wanted) in axes.into_iter().zip(wanted) {
        let size = std::mem::replace(&mut dims[axis], wanted.clone());
        if is_at_most(&wanted, &size) {
            ranges[axis] = AxisSlice::new((size - wanted.clone()).floor_div(2), wanted);
        } else if is_at_most(&size, &wanted) {
            let missing = wanted - size;
            before[axis] = missing.floor_div(2);
            after[axis] = missing.ceil_div(2);
        } else {
            return unsupported(format!("whether {size} is less than {wanted} is not known; fix the shape with --shape"));
        }
    }
    let cut = cx.slice(x, &ranges)?;
    one(cx.pad(&cut, before, after, "constant", 0.0)?)
}

/// Cuts off where padding is negative, and makes that padding 0.
fn crop(cx: &mut Importer, x: &Operand, before: &mut [Dim], after: &mut [Dim]) -> NodeResult<Operand> {
    let mut ranges = Vec::new();
    for (i, size) in cx.dims(x).into_iter().enumerate() {
        let mut cut = [Dim::default(), Dim::default()];
        for (pad, cut) in [&mut before[i], &mut after[i]].into_iter().zip(&mut cut) {
            let (least, most) = pad.bounds();
            if least < 0 && most > 0 {
                return unsupported(format!("the padding {pad} may be negative or not; fix the shape with --shape"));
            }
            if least < 0 {
                *cut = -std::mem::take(pad);
            }
        }
        let [start, end] = cut;
        ranges.push(AxisSlice::new(start.clone(), size - start - end));
    }
    cx.slice(x, &ranges)
}

fn tile(cx: &mut Importer, node: &Node) -> Results {
    let (x, repeats) = (node.input(0)?, sizes(node.input(1)?, "the number of repeats")?);
    let dims = cx.dims(x);
    if repeats.len() != dims.len() {
        return invalid(format!("repeats {repeats:?} for {} axes", dims.len()));
    }
    let pairs = |first: &[Dim]| first.iter().zip(&dims).flat_map(|(a, b)| [a.clone(), b.clone()]).collect::<Vec<Dim>>();
    let single = cx.reshape(x, &pairs(&vec![1.into(); dims.len()]))?;
    let repeated = cx.broadcast(&single, &pairs(&repeats))?;
    let tiled: Vec<Dim> = dims.iter().zip(&repeats).map(|(a, b)| a.clone() * b.clone()).collect();
    one(cx.reshape(&repeated, &tiled)?)
}

fn image_blocks(cx: &Importer, node: &Node) -> NodeResult<(Vec<Dim>, i64)> {
    const MAX_BLOCK: i64 = 1 << 15;
    let (dims, block) = (cx.dims(node.input(0)?), node.int("blocksize", 0));
    if dims.len() != 4 || !(1..=MAX_BLOCK).contains(&block) {
        return invalid(format!("blocks of size {block} do not fit the shape {dims:?}"));
    }
    Ok((dims, block))
}

fn depth_to_space(cx: &mut Importer, node: &Node) -> Results {
    let (dims, block) = image_blocks(cx, node)?;
    let [n, c, h, w] = [0, 1, 2, 3].map(|i| dims[i].clone());
    if !c.is_multiple_of(block * block) {
        return invalid(format!("{c} channels are not a multiple of {}", block * block));
    }
    let (b, depth) = (Dim::constant(block), c.floor_div(block * block));
    let columns_first = node.text("mode", "DCR") == "CRD";
    let (split, perm) = if columns_first {
        ([n.clone(), depth.clone(), b.clone(), b.clone(), h.clone(), w.clone()], [0, 1, 4, 2, 5, 3])
    } else {
        ([n.clone(), b.clone(), b.clone(), depth.clone(), h.clone(), w.clone()], [0, 3, 4, 1, 5, 2])
    };
    let x = cx.reshape(node.input(0)?, &split)?;
    let x = cx.transpose(&x, &perm)?;
    one(cx.reshape(&x, &[n, depth, h * b.clone(), w * b])?)
}

fn space_to_depth(cx: &mut Importer, node: &Node) -> Results {
    let (dims, block) = image_blocks(cx, node)?;
    let [n, c, h, w] = [0, 1, 2, 3].map(|i| dims[i].clone());
    let (b, rows, columns) = (Dim::constant(block), h.floor_div(block), w.floor_div(block));
    cx.unify(&(rows.clone() * b.clone()), &h, "the height and the block size")?;
    cx.unify(&(columns.clone() * b.clone()), &w, "the width and the block size")?;
    let split = [n.clone(), c.clone(), rows.clone(), b.clone(), columns.clone(), b];
    let x = cx.reshape(node.input(0)?, &split)?;
    let x = cx.transpose(&x, &[0, 3, 5, 1, 2, 4])?;
    one(cx.reshape(&x, &[n, c * (block * block).into(), rows, columns])?)
}
