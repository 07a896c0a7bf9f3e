//! Picking elements by index.

use super::shape::sizes;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::movement::AxisSlice;
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Compress", compress),
    Operator::standard("Gather", gather),
    Operator::standard("GatherElements", gather_elements),
    Operator::standard("GatherND", gather_nd),
    Operator::standard("OneHot", one_hot),
    Operator::standard("ReverseSequence", reverse_sequence),
    Operator::standard("Trilu", trilu),
];

fn gather(cx: &mut Importer, node: &Node) -> Results {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let axis = axis(node.int("axis", 0), cx.rank(x))?;
    if let Some(known) = gather_known(x, indices, axis) {
        return one(known.into());
    }
    one(cx.op(Op::Gather, Attrs::new().with("axis", axis as i64), &[x, indices])?)
}

fn gather_known(x: &Operand, indices: &Operand, axis: usize) -> Option<Known> {
    let (x, indices) = (x.known()?, indices.known()?);
    let size = *x.shape.get(axis)? as i64;
    let list = indices.integers()?;
    let count = indices.shape.len();
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    x.pick(shape, |index| {
        let inner = &index[axis..axis + count];
        let position = inner.iter().zip(&indices.shape).fold(0, |position, (i, size)| position * size + i);
        let wanted = *list.get(position)?;
        let wanted = usize::try_from(if wanted < 0 { wanted.checked_add(size)? } else { wanted }).ok()?;
        Some([&index[..axis], &[wanted], &index[axis + count..]].concat())
    })
}

/// Indices counted from the start where negative ones count from the end.
pub(super) fn counted(cx: &mut Importer, indices: &Operand, size: &Dim) -> NodeResult<Operand> {
    let indices = cx.cast(indices, DType::I64)?;
    let size: Operand = Known::scalar(DType::I64, size.clone()).into();
    let wrapped = cx.add(&indices, &size)?;
    let is_negative = cx.with_scalar(Op::Less, &indices, 0.0)?;
    cx.select(&is_negative, &wrapped, &indices)
}

fn scaled(cx: &mut Importer, x: &Operand, stride: &Dim) -> NodeResult<Operand> {
    let stride: Operand = Known::scalar(DType::I64, stride.clone()).into();
    cx.mul(x, &stride)
}

fn gather_elements(cx: &mut Importer, node: &Node) -> Results {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let ty = cx.ty(x);
    if cx.rank(indices) != ty.rank() {
        return invalid("data and indices differ in rank");
    }
    let axis = axis(node.int("axis", 0), ty.rank())?;
    let indices = counted(cx, indices, &ty.dims[axis])?;
    let position = element_positions(cx, &ty, &indices, axis)?;
    let flat = cx.reshape(x, &[ty.element_count()])?;
    one(cx.op(Op::Gather, Attrs::new().with("axis", 0), &[&flat, &position])?)
}

/// Positions in the flat form of a tensor of type `ty` whose coordinates are those of `indices`, but `indices` along `axis`.
pub(super) fn element_positions(cx: &mut Importer, ty: &TensorType, indices: &Operand, axis: usize) -> NodeResult<Operand> {
    let dims = cx.dims(indices);
    let strides = ty.strides();
    let mut position = scaled(cx, indices, &strides[axis])?;
    for other in (0..dims.len()).filter(|other| *other != axis) {
        let coordinate = cx.iota(DType::I64, &dims, other)?;
        let offset = scaled(cx, &coordinate, &strides[other])?;
        position = cx.add(&position, &offset)?;
    }
    Ok(position)
}

/// Positions in a tensor of the given dims whose first `batch` coordinates are those of the indices and whose next ones are
/// what the last axis of the indices holds; also the number of coordinates, over whose axes the positions count.
pub(super) fn flat_positions(cx: &mut Importer, indices: &Operand, dims: &[Dim], batch: usize) -> NodeResult<(Operand, usize)> {
    let index_dims = cx.dims(indices);
    let depth = index_dims.last().and_then(Dim::as_constant).and_then(|depth| usize::try_from(depth).ok());
    let fits = |depth: &usize| *depth > 0 && batch < index_dims.len() && *depth <= dims.len().saturating_sub(batch);
    let Some(depth) = depth.filter(fits) else {
        return unsupported("the last axis of the indices must have a fixed size that fits the data");
    };
    let (outer, last) = (&index_dims[..index_dims.len() - 1], index_dims.len() - 1);
    let strides = TensorType { dtype: DType::I64, dims: dims[..batch + depth].to_vec() }.strides();
    let mut position = cx.scalar(DType::I64, 0.0)?;
    for (i, stride) in strides.iter().enumerate() {
        let part = match i.checked_sub(batch) {
            None => cx.iota(DType::I64, outer, i)?,
            Some(column) => {
                let part = cx.slice_axis(indices, last, AxisSlice::new(column as i64, 1))?;
                let part = counted(cx, &part, &dims[i])?;
                cx.reshape(&part, outer)?
            }
        };
        let part = scaled(cx, &part, stride)?;
        position = cx.add(&position, &part)?;
    }
    Ok((position, batch + depth))
}

fn gather_nd(cx: &mut Importer, node: &Node) -> Results {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let dims = cx.dims(x);
    let Ok(batch) = usize::try_from(node.int("batch_dims", 0)) else { return invalid("`batch_dims` is negative") };
    let (position, count) = flat_positions(cx, indices, &dims, batch)?;
    let rows = [&[product(&dims[..count])], &dims[count..]].concat();
    let rows = cx.reshape(x, &rows)?;
    one(cx.op(Op::Gather, Attrs::new().with("axis", 0), &[&rows, &position])?)
}

fn one_hot(cx: &mut Importer, node: &Node) -> Results {
    let (indices, values) = (node.input(0)?, node.input(2)?);
    let depth = node.input(1)?;
    let depth = sizes(&cx.cast(depth, DType::I64)?, "the depth")?;
    let Some(depth) = depth.first().cloned() else { return invalid("the depth is empty") };
    let mut dims = cx.dims(indices);
    let axis = axis(node.int("axis", -1), dims.len() + 1)?;
    let indices = counted(cx, indices, &depth)?;
    dims.insert(axis, 1.into());
    let indices = cx.reshape(&indices, &dims)?;
    dims[axis] = depth;
    let positions = cx.iota(DType::I64, &dims, axis)?;
    let hit = cx.binary(Op::Equal, &positions, &indices)?;
    let value = |cx: &mut Importer, position: i64| {
        let part = cx.slice_axis(values, 0, AxisSlice::new(position, 1))?;
        cx.reshape(&part, &[])
    };
    let (off, on) = (value(cx, 0)?, value(cx, 1)?);
    one(cx.select(&hit, &on, &off)?)
}

/// The parts that a constant condition names.
fn compress(cx: &mut Importer, node: &Node) -> Results {
    let Some(condition) = node.integers(1, "the condition")? else { return invalid("the condition is missing") };
    let (x, axis) = match node.has("axis") {
        true => (node.input(0)?.clone(), axis(node.int("axis", 0), cx.rank(node.input(0)?))?),
        false => (cx.reshape(node.input(0)?, &[cx.ty(node.input(0)?).element_count()])?, 0),
    };
    let chosen: Vec<i64> = (0i64..).zip(&condition).filter(|(_, keep)| **keep != 0).map(|(i, _)| i).collect();
    let Some(chosen) = Tensor::i64(&[chosen.len()], &chosen) else { return invalid("the condition does not fit memory") };
    one(cx.op(Op::Gather, Attrs::new().with("axis", axis as i64), &[&x, &chosen.into()])?)
}

fn reverse_sequence(cx: &mut Importer, node: &Node) -> Results {
    let (x, lengths) = (node.input(0)?, node.input(1)?);
    let ty = cx.ty(x);
    let (time, batch) = (axis(node.int("time_axis", 0), ty.rank())?, axis(node.int("batch_axis", 1), ty.rank())?);
    let places = cx.iota(DType::I64, &ty.dims, time)?;
    let mut dims = vec![Dim::constant(1); ty.rank()];
    dims[batch] = ty.dims[batch].clone();
    let lengths = cx.cast(lengths, DType::I64)?;
    let lengths = cx.reshape(&lengths, &dims)?;
    let is_part = cx.binary(Op::Less, &places, &lengths)?;
    let last = cx.with_scalar(Op::Sub, &lengths, 1.0)?;
    let reversed = cx.sub(&last, &places)?;
    let source = cx.select(&is_part, &reversed, &places)?;
    let position = element_positions(cx, &ty, &source, time)?;
    let flat = cx.reshape(x, &[ty.element_count()])?;
    one(cx.op(Op::Gather, Attrs::new().with("axis", 0), &[&flat, &position])?)
}

fn trilu(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (dims, rank) = (cx.dims(x), cx.rank(x));
    if rank < 2 {
        return invalid("the operand must have rank 2 or more");
    }
    let (row, column) = (cx.iota(DType::I64, &dims[rank - 2..], 0)?, cx.iota(DType::I64, &dims[rank - 2..], 1)?);
    let shift = match node.optional(1)? {
        Some(shift) => cx.reshape(shift, &[])?,
        None => cx.scalar(DType::I64, 0.0)?,
    };
    let diagonal = cx.add(&row, &shift)?;
    let keep = if node.flag("upper", true) {
        cx.binary(Op::LessEqual, &diagonal, &column)?
    } else {
        cx.binary(Op::LessEqual, &column, &diagonal)?
    };
    let zero = cx.scalar_like(x, 0.0)?;
    one(cx.select(&keep, x, &zero)?)
}
