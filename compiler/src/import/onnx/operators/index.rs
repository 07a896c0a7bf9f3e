//! Picking elements by index.

use super::shape::sizes;
use super::{Context, Entry, Node, Results, one};
use crate::import::onnx::item::Item;
use crate::import::onnx::known::Known;
use crate::import::onnx::movement::Range;
use crate::import::onnx::node::axis;
use crate::import::onnx::problem::{Outcome, invalid, unsupported};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use lostwax_ir::types::{DType, TensorType};

pub(super) const OPERATORS: &[Entry] = &[
    ("Gather", "", gather),
    ("GatherElements", "", gather_elements),
    ("GatherND", "", gather_nd),
    ("OneHot", "", one_hot),
    ("Trilu", "", trilu),
];

fn gather(cx: &mut Context, node: &Node) -> Results {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let axis = axis(node.int("axis", 0), cx.rank(x))?;
    if let Some(known) = gather_known(x, indices, axis) {
        return one(known.into());
    }
    one(cx.node(Op::Gather, Attrs::new().with("axis", axis as i64), &[x, indices])?)
}

fn gather_known(x: &Item, indices: &Item, axis: usize) -> Option<Known> {
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
fn counted(cx: &mut Context, indices: &Item, size: &Dim) -> Outcome<Item> {
    let indices = cx.cast(indices, DType::I64)?;
    let size: Item = Known::scalar(DType::I64, size.clone()).into();
    let wrapped = cx.add(&indices, &size)?;
    let is_negative = cx.with_scalar(Op::Less, &indices, 0.0)?;
    cx.select(&is_negative, &wrapped, &indices)
}

fn scaled(cx: &mut Context, x: &Item, stride: &Dim) -> Outcome<Item> {
    let stride: Item = Known::scalar(DType::I64, stride.clone()).into();
    cx.mul(x, &stride)
}

fn gather_elements(cx: &mut Context, node: &Node) -> Results {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let ty = cx.ty(x);
    let dims = cx.dims(indices);
    if dims.len() != ty.rank() {
        return invalid("data and indices differ in rank");
    }
    let axis = axis(node.int("axis", 0), ty.rank())?;
    let indices = counted(cx, indices, &ty.dims[axis])?;
    let strides = ty.strides();
    let mut position = scaled(cx, &indices, &strides[axis])?;
    for other in (0..dims.len()).filter(|other| *other != axis) {
        let coordinate = cx.iota(DType::I64, &dims, other)?;
        let offset = scaled(cx, &coordinate, &strides[other])?;
        position = cx.add(&position, &offset)?;
    }
    let flat = cx.reshape(x, &[ty.element_count()])?;
    one(cx.node(Op::Gather, Attrs::new().with("axis", 0), &[&flat, &position])?)
}

fn gather_nd(cx: &mut Context, node: &Node) -> Results {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let (dims, index_dims) = (cx.dims(x), cx.dims(indices));
    let depth = index_dims.last().and_then(Dim::as_constant).and_then(|depth| usize::try_from(depth).ok());
    let Some(depth) = depth.filter(|depth| (1..=dims.len()).contains(depth)) else {
        return unsupported("the last axis of the indices must have a fixed size that fits the data");
    };
    if node.int("batch_dims", 0) != 0 {
        return unsupported("`batch_dims` is not supported");
    }
    let last = index_dims.len() - 1;
    let strides = TensorType { dtype: DType::I64, dims: dims[..depth].to_vec() }.strides();
    let mut position: Option<Item> = None;
    for (i, stride) in strides.iter().enumerate() {
        let part = cx.slice_axis(indices, last, Range::new(i as i64, 1))?;
        let part = counted(cx, &part, &dims[i])?;
        let part = scaled(cx, &part, stride)?;
        position = Some(if let Some(sum) = position { cx.add(&sum, &part)? } else { part });
    }
    let Some(position) = position else { return invalid("there are no indices") };
    let position = cx.reshape(&position, &index_dims[..last])?;
    let rows = [&[product(&dims[..depth])], &dims[depth..]].concat();
    let rows = cx.reshape(x, &rows)?;
    one(cx.node(Op::Gather, Attrs::new().with("axis", 0), &[&rows, &position])?)
}

fn one_hot(cx: &mut Context, node: &Node) -> Results {
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
    let value = |cx: &mut Context, position: i64| {
        let part = cx.slice_axis(values, 0, Range::new(position, 1))?;
        cx.reshape(&part, &[])
    };
    let (off, on) = (value(cx, 0)?, value(cx, 1)?);
    one(cx.select(&hit, &on, &off)?)
}

fn trilu(cx: &mut Context, node: &Node) -> Results {
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
