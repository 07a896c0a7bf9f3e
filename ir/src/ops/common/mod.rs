//! Definitions shared by ops: what all elementwise, reducing, moving or sliding ops have in common.

mod convolution;
mod elementwise;
mod pool;
mod reduce;
mod resample;
mod sample;
mod traverse;
mod values;
mod window;

pub(super) use convolution::*;
pub(super) use elementwise::*;
pub(super) use pool::*;
pub(super) use reduce::*;
pub(super) use resample::*;
pub(super) use sample::*;
pub(super) use traverse::*;
pub(super) use values::*;
pub(super) use window::*;

use super::{AttrSpec, Op, TypeError, invalid};
use crate::attrs::{AttrKind, Attrs};
use crate::dim::Dim;
use crate::types::{DType, TensorType};

/// The floating-point types.
pub(super) const FLOATS: &[DType] = &[DType::F32, DType::F16, DType::BF16, DType::F64];
/// Bool alone.
pub(super) const BOOL: &[DType] = &[DType::Bool];
/// All types that can be calculated with.
pub(super) const NUMERIC: &[DType] = &[
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::F64,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
];
/// The integer types and bool.
pub(super) const LOGICAL: &[DType] =
    &[DType::Bool, DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];
/// All types but block formats.
pub(super) const ANY: &[DType] = &[
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::F64,
    DType::Bool,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
];

/// The declaration of an attribute.
pub(super) const fn attr(name: &'static str, kind: AttrKind, doc: &'static str) -> AttrSpec {
    AttrSpec { name, kind, doc }
}

/// The declaration of an element type.
pub(super) const DTYPE: AttrSpec = attr("dtype", AttrKind::DType, "the element type of the result");
/// The declaration of the sizes of a result.
pub(super) const DIMS: AttrSpec = attr("dims", AttrKind::Dims, "the sizes of the result");
/// The declaration of one axis.
pub(super) const AXIS: AttrSpec = attr("axis", AttrKind::Int, "the axis, not negative");

/// Checks that an element type is one of `allowed`.
pub(super) fn check_dtype(op: Op, dtype: DType, allowed: &[DType]) -> Result<(), TypeError> {
    if allowed.contains(&dtype) {
        return Ok(());
    }
    Err(invalid(op, format!("element type {dtype} is not one of {allowed:?}")))
}

/// The attribute `axis`, checked against the rank.
pub(super) fn axis(op: Op, rank: usize, attrs: &Attrs) -> Result<usize, TypeError> {
    let axis = attrs.int("axis");
    let position = usize::try_from(axis).ok().filter(|axis| *axis < rank);
    position.ok_or_else(|| invalid(op, format!("axis {axis} does not fit rank {rank}")))
}

/// Checks that no size can only be negative.
pub(super) fn check_sizes(op: Op, dims: &[Dim]) -> Result<(), TypeError> {
    match dims.iter().find(|dim| dim.bounds().1 < 0) {
        Some(dim) => Err(invalid(op, format!("the size {dim} is negative"))),
        None => Ok(()),
    }
}

/// The broadcast dims of elementwise operands: equal ranks; each dim equal, or 1.
pub(super) fn broadcast(op: Op, operands: &[&TensorType]) -> Result<Vec<Dim>, TypeError> {
    let rank = operands.first().map_or(0, |ty| ty.rank());
    if operands.iter().any(|ty| ty.rank() != rank) {
        return Err(invalid(op, "operands must have the same rank"));
    }
    (0..rank)
        .map(|axis| {
            let wide: Vec<&Dim> = operands.iter().map(|ty| &ty.dims[axis]).filter(|dim| !dim.is(1)).collect();
            match wide.split_first() {
                None => Ok(1.into()),
                Some((first, rest)) if rest.iter().all(|dim| dim == first) => Ok((*first).clone()),
                Some(_) => Err(invalid(op, format!("sizes {wide:?} of axis {axis} differ"))),
            }
        })
        .collect()
}
