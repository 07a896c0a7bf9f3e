//! Writing elements at given positions, seen from the written tensor: each of its elements looks for the updates that hit it.

use super::index::{counted, element_positions, flat_positions};
use super::search::coordinate;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Scatter", scatter_elements),
    Operator::standard("ScatterElements", scatter_elements),
    Operator::standard("ScatterND", scatter_nd),
];

/// How updates combine with what is there.
enum Reduction {
    /// The last update that hits an element replaces it.
    Replace,
    /// Updates are reduced by one op and joined with the old element by the other; the number changes nothing.
    Join(Op, Op, f64),
}

fn reduction(node: &Node) -> NodeResult<Reduction> {
    match node.text("reduction", "none").as_str() {
        "none" => Ok(Reduction::Replace),
        "add" => Ok(Reduction::Join(Op::ReduceSum, Op::Add, 0.0)),
        "mul" => Ok(Reduction::Join(Op::ReduceProd, Op::Mul, 1.0)),
        "max" => Ok(Reduction::Join(Op::ReduceMax, Op::Maximum, f64::NEG_INFINITY)),
        "min" => Ok(Reduction::Join(Op::ReduceMin, Op::Minimum, f64::INFINITY)),
        other => unsupported(format!("the reduction `{other}` is not known")),
    }
}

/// The number that changes nothing, as an element of `x`; integers have no infinity.
fn neutral(cx: &mut Importer, x: &Operand, value: f64) -> NodeResult<Operand> {
    let dtype = cx.dtype(x);
    let bits = 8 * dtype.size() as i32;
    let (low, high) = match (dtype.is_float(), dtype.is_signed_integer()) {
        (true, _) => (f64::NEG_INFINITY, f64::INFINITY),
        (false, true) => (-2f64.powi(bits - 1), 2f64.powi(bits - 1) - 1.0),
        (false, false) => (0.0, 2f64.powi(bits) - 1.0),
    };
    cx.scalar_like(x, value.clamp(low, high))
}

/// `x` with rows replaced. `x` is [rows, width], `updates` is [count, width] and `positions` is [count], the rows that the
/// updates hit.
fn scatter_rows(
    cx: &mut Importer,
    x: &Operand,
    positions: &Operand,
    updates: &Operand,
    reduction: &Reduction,
) -> NodeResult<Operand> {
    let (dims, count) = (cx.dims(x), cx.dims(positions)[0].clone());
    let rows = coordinate(cx, x, 0)?;
    let columns = cx.reshape(positions, &[1.into(), count.clone()])?;
    let hit = cx.binary(Op::Equal, &rows, &columns)?;
    let Reduction::Join(fold, join, start) = reduction else {
        let winner = last_hit(cx, &hit, 1)?;
        let picked = cx.reshape(&winner, &dims[..1])?;
        let picked = cx.op(Op::Gather, Attrs::new().with("axis", 0), &[updates, &picked])?;
        return keep_missed(cx, &winner, &picked, x);
    };
    let hit = cx.reshape(&hit, &[dims[0].clone(), count.clone(), 1.into()])?;
    let updates = cx.reshape(updates, &[1.into(), count, dims[1].clone()])?;
    let neutral = neutral(cx, x, *start)?;
    let hits = cx.select(&hit, &updates, &neutral)?;
    let total = cx.reduce(*fold, &hits, &[1])?;
    let total = cx.reshape(&total, &dims)?;
    cx.binary(*join, x, &total)
}

/// `x` [rows, width] with the rows at `positions` replaced by `updates` [count, width].
pub(super) fn replace_rows(cx: &mut Importer, x: &Operand, positions: &Operand, updates: &Operand) -> NodeResult<Operand> {
    scatter_rows(cx, x, positions, updates, &Reduction::Replace)
}

/// The last position along `axis`, which stays with size 1, where `hit` holds; -1 if there is none.
fn last_hit(cx: &mut Importer, hit: &Operand, axis: usize) -> NodeResult<Operand> {
    let positions = coordinate(cx, hit, axis)?;
    let none = cx.scalar_like(&positions, -1.0)?;
    let candidates = cx.select(hit, &positions, &none)?;
    cx.reduce(Op::ReduceMax, &candidates, &[axis])
}

/// `updated` where there is a winner, and `x` elsewhere.
fn keep_missed(cx: &mut Importer, winner: &Operand, updated: &Operand, x: &Operand) -> NodeResult<Operand> {
    let missed = cx.with_scalar(Op::Less, winner, 0.0)?;
    cx.select(&missed, x, updated)
}

fn scatter_nd(cx: &mut Importer, node: &Node) -> Results {
    let (x, indices, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let (dims, index_dims) = (cx.dims(x), cx.dims(indices));
    let (positions, depth) = flat_positions(cx, indices, &dims, 0)?;
    let count = product(&index_dims[..index_dims.len() - 1]);
    let (rows, width) = (product(&dims[..depth]), product(&dims[depth..]));
    let flat = cx.reshape(x, &[rows, width.clone()])?;
    let positions = cx.reshape(&positions, std::slice::from_ref(&count))?;
    let updates = cx.reshape(updates, &[count, width])?;
    let result = scatter_rows(cx, &flat, &positions, &updates, &reduction(node)?)?;
    one(cx.reshape(&result, &dims)?)
}

fn scatter_elements(cx: &mut Importer, node: &Node) -> Results {
    let (x, indices, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let rank = cx.rank(x);
    if cx.rank(indices) != rank || cx.rank(updates) != rank {
        return invalid("data, indices and updates differ in rank");
    }
    let updates = cx.assert_dims(updates, &cx.dims(indices))?;
    let axis = axis(node.int("axis", 0), rank)?;
    let indices = counted(cx, indices, &cx.dims(x)[axis])?;
    one(match reduction(node)? {
        Reduction::Replace => replace_elements(cx, x, &indices, &updates, axis)?,
        Reduction::Join(fold, join, start) => {
            let neutral = neutral(cx, x, start)?;
            let hit = hits(cx, x, &indices, axis)?;
            let lines = split_line(cx, &updates, axis)?;
            let chosen = cx.select(&hit, &lines, &neutral)?;
            let total = cx.reduce(fold, &chosen, &[axis + 1])?;
            let total = drop_axis(cx, &total, axis + 1)?;
            let total = extended(cx, &total, x, axis, start.clamp(f64::MIN, f64::MAX))?;
            cx.binary(join, x, &total)?
        }
    })
}

/// Inserts an axis of size 1 before `axis`, where the elements of `x` are to stand.
fn split_line(cx: &mut Importer, updates: &Operand, axis: usize) -> NodeResult<Operand> {
    let mut dims = cx.dims(updates);
    dims.insert(axis, 1.into());
    cx.reshape(updates, &dims)
}

fn drop_axis(cx: &mut Importer, x: &Operand, axis: usize) -> NodeResult<Operand> {
    let mut dims = cx.dims(x);
    dims.remove(axis);
    cx.reshape(x, &dims)
}

/// For each element of `x` along `axis` (and coordinates of the updates elsewhere) and each update along `axis + 1`, whether
/// the update hits the element.
fn hits(cx: &mut Importer, x: &Operand, indices: &Operand, axis: usize) -> NodeResult<Operand> {
    let indices = split_line(cx, indices, axis)?;
    let mut dims = vec![Dim::constant(1); cx.rank(&indices)];
    dims[axis] = cx.dims(x)[axis].clone();
    let places = cx.iota(cx.dtype(&indices), &dims, axis)?;
    cx.binary(Op::Equal, &indices, &places)
}

fn replace_elements(cx: &mut Importer, x: &Operand, indices: &Operand, updates: &Operand, axis: usize) -> NodeResult<Operand> {
    let hit = hits(cx, x, indices, axis)?;
    let winner = last_hit(cx, &hit, axis + 1)?;
    let winner = drop_axis(cx, &winner, axis + 1)?;
    let picked = element_positions(cx, &cx.ty(updates), &winner, axis)?;
    let flat = cx.reshape(updates, &[cx.ty(updates).element_count()])?;
    let picked = cx.op(Op::Gather, Attrs::new().with("axis", 0), &[&flat, &picked])?;
    let picked = extended(cx, &picked, x, axis, 0.0)?;
    let winner = extended(cx, &winner, x, axis, -1.0)?;
    keep_missed(cx, &winner, &picked, x)
}

/// Pads the other axes, along which updates may be shorter than `x`, with a value.
fn extended(cx: &mut Importer, part: &Operand, x: &Operand, axis: usize, value: f64) -> NodeResult<Operand> {
    let (own, wide) = (cx.dims(part), cx.dims(x));
    let missing = |i: usize| if i == axis { Dim::default() } else { wide[i].clone() - own[i].clone() };
    let after: Vec<Dim> = (0..own.len()).map(missing).collect();
    if after.iter().any(|pad| pad.bounds().0 < 0) {
        return unsupported("indices whose shape may exceed that of the data; fix the shape with --shape");
    }
    let padded = cx.pad(part, vec![Dim::default(); own.len()], after, "constant", value)?;
    cx.assert_dims(&padded, &wide)
}
