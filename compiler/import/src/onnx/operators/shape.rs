//! Shapes: asking for them and changing them without moving elements.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::Known;
use crate::onnx::node::{axes, axis};
use crate::onnx::node_error::{NodeError, NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use crate::onnx::tensors;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Cast", cast),
    Operator::standard("CastLike", cast_like),
    Operator::standard("Dropout", dropout),
    Operator::standard("Expand", expand),
    Operator::standard("Flatten", flatten),
    Operator::standard("Identity", |_, node| one(node.input(0)?.clone())),
    Operator::standard("OptionalGetElement", |_, node| one(node.input(0)?.clone())),
    Operator::standard("OptionalHasElement", has_element),
    Operator::standard("Reshape", reshape),
    Operator::standard("Shape", shape),
    Operator::standard("Size", size),
    Operator::standard("Squeeze", squeeze),
    Operator::standard("Unsqueeze", unsqueeze),
];

/// The sizes that an operand holds, which must be known at import, possibly as symbols.
pub(super) fn sizes(item: &Operand, what: &str) -> NodeResult<Vec<Dim>> {
    let why = match item.known() {
        Some(known) => match known.dims() {
            Some(dims) => return Ok(dims),
            None => "follows from shapes by arithmetic that dynamic sizes do not support; fix them with --shape",
        },
        None => {
            "is not known when the model is imported: it depends on the values of inputs, or on shapes in a way that is not followed; \
             fix the shapes with --shape, or an input that decides it with --constant"
        }
    };
    Err(NodeError::Unsupported(format!("{what} {why}")))
}

fn cast(cx: &mut Importer, node: &Node) -> Results {
    one(cx.cast(node.input(0)?, tensors::dtype(node.int("to", 0))?)?)
}

fn cast_like(cx: &mut Importer, node: &Node) -> Results {
    let dtype = cx.dtype(node.input(1)?);
    one(cx.cast(node.input(0)?, dtype)?)
}

fn dropout(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?.clone();
    if node.optional(2)?.is_some_and(|training| training.integers() != Some(vec![0])) {
        return unsupported("training mode is not supported; export the model for inference");
    }
    if !node.has_output(1) {
        return one(x);
    }
    let mask = cx.full(DType::Bool, &cx.dims(&x), 1.0)?;
    Ok(vec![x, mask])
}

/// Whether the operand is there: tensors always are.
fn has_element(cx: &mut Importer, node: &Node) -> Results {
    let exists = node.optional(0)?.is_some();
    one(cx.scalar(DType::Bool, f64::from(exists))?)
}

fn shape(cx: &mut Importer, node: &Node) -> Results {
    let dims = cx.dims(node.input(0)?);
    let rank = dims.len() as i64;
    let bound = |value: i64| if value < 0 { value.saturating_add(rank) } else { value }.clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
    one(Known::sizes(dims.get(start..end).unwrap_or(&[])).into())
}

fn size(cx: &mut Importer, node: &Node) -> Results {
    let count = cx.ty(node.input(0)?).element_count();
    one(Known::scalar(DType::I64, count).into())
}

fn squeeze(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let mut dims = cx.dims(x);
    let removed = match node.integers_or_attribute(1, "axes")? {
        Some(list) => axes(&list, dims.len())?,
        None => (0..dims.len()).filter(|axis| dims[*axis].is(1)).collect(),
    };
    for axis in &removed {
        dims[*axis] = 1.into();
    }
    let x = cx.assert_dims(x, &dims)?;
    let kept: Vec<Dim> = dims.into_iter().enumerate().filter(|(axis, _)| !removed.contains(axis)).map(|(_, dim)| dim).collect();
    one(cx.reshape(&x, &kept)?)
}

fn unsqueeze(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let Some(list) = node.integers_or_attribute(1, "axes")? else { return invalid("`axes` is missing") };
    let mut dims = cx.dims(x);
    for axis in axes(&list, dims.len() + list.len())? {
        dims.insert(axis, 1.into());
    }
    one(cx.reshape(x, &dims)?)
}

fn flatten(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let dims = cx.dims(x);
    let given = node.int("axis", 1);
    let at = if given == dims.len() as i64 { dims.len() } else { axis(given, dims.len())? };
    one(cx.reshape(x, &[product(&dims[..at]), product(&dims[at..])])?)
}

fn reshape(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let wanted = match node.ints("shape") {
        Some(list) => list.into_iter().map(Dim::constant).collect(),
        None => sizes(node.input(1)?, "the shape")?,
    };
    let own = cx.dims(x);
    let mut dims = wanted.clone();
    if !node.flag("allowzero", false) {
        for (position, dim) in dims.iter_mut().enumerate().filter(|(_, dim)| dim.is(0)) {
            match own.get(position) {
                Some(size) => *dim = size.clone(),
                None => return invalid(format!("the shape {wanted:?} keeps an axis that {own:?} does not have")),
            }
        }
    }
    let open: Vec<usize> = (0..dims.len()).filter(|position| dims[*position].is(-1)).collect();
    match open.as_slice() {
        [] => {}
        [position] => {
            dims.remove(*position);
            let rest = remaining(cx, &own, &dims)?;
            dims.insert(*position, rest);
        }
        _ => return invalid(format!("the shape {wanted:?} leaves more than one size open")),
    }
    if open.is_empty() {
        cx.unify(&product(&own), &product(&dims), "the numbers of elements before and after reshaping")?;
    }
    one(cx.reshape(x, &dims)?)
}

/// The product of `from` divided by the product of `to`.
fn remaining(cx: &mut Importer, from: &[Dim], to: &[Dim]) -> NodeResult<Dim> {
    let mut upper: Vec<Dim> = from.to_vec();
    let mut lower = Vec::new();
    for dim in to {
        match upper.iter().position(|own| own == dim) {
            Some(position) => drop(upper.remove(position)),
            None => lower.push(dim.clone()),
        }
    }
    let (upper, lower) = (product(&upper), product(&lower));
    if lower.is(0) {
        return invalid(format!("the shape {to:?} has no elements, which leaves the open size undefined"));
    }
    let quotient = upper.floor_div(lower.clone());
    cx.unify(&(quotient.clone() * lower), &upper, "the numbers of elements before and after reshaping")?;
    Ok(quotient)
}

fn expand(cx: &mut Importer, node: &Node) -> Results {
    let (x, wanted) = (node.input(0)?, sizes(node.input(1)?, "the shape")?);
    let rank = wanted.len().max(cx.rank(x));
    let x = cx.with_rank(x, rank)?;
    let mut wide = vec![Dim::constant(1); rank - wanted.len()];
    wide.extend(wanted);
    let mut own = cx.dims(&x);
    let wide = cx.broadcast_dims(&[own.clone(), wide])?;
    for (dim, wide) in own.iter_mut().zip(&wide).filter(|(dim, _)| !dim.is(1)) {
        *dim = wide.clone();
    }
    let x = cx.reshape(&x, &own)?;
    one(cx.broadcast(&x, &wide)?)
}
