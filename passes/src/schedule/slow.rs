//! Kernels that run much slower than the machine could: what falls to the most general loops.

use super::nest::{Nest, NestReduction, body_loads};
use crate::size_hint::size_hint;
use lostwax_ir::compute::Axis;
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::Caps;

/// Points below which no kernel counts as slow.
const FEW_POINTS: i64 = 1 << 16;

/// Why a reduction that runs with one lane per reduced element is slow: its elements are not neighbours, so each lane loads
/// on its own.
pub(super) fn scattered(nest: &Nest, reduction: &NestReduction) -> Option<String> {
    let inner = reduction.axes.last()?;
    let strides = body_loads(&reduction.value).map(|(index, _)| index.affine_in(&inner.symbol).map(|(stride, _)| stride));
    let apart = strides.map(|stride| match stride {
        Some(stride) if stride.is(0) || stride.is(1) => None,
        Some(stride) => Some(format!("{stride} elements apart")),
        None => Some("at places that follow no line".to_string()),
    });
    let apart = apart.flatten().next().filter(|_| points(nest) >= FEW_POINTS)?;
    Some(format!("a reduction over elements that lie {apart} has no schedule with vectors"))
}

/// Why a kernel that one thread runs alone is slow: there is much to do, and no other thread has a part of it.
pub(super) fn one_item(nest: &Nest, kernel: &Kernel, caps: &Caps) -> Option<String> {
    let alone = kernel.grid.is(1) && caps.parallelism > 1 && points(nest) >= FEW_POINTS * i64::from(caps.parallelism);
    alone.then(|| format!("about {} points are one work item, which one thread runs alone", points(nest)))
}

/// The points of all loops at typical sizes.
fn points(nest: &Nest) -> i64 {
    let size = |axes: &[Axis]| axes.iter().map(|axis| size_hint(&axis.extent)).fold(1i64, i64::saturating_mul);
    size(&nest.axes).saturating_mul(nest.reduction.as_ref().map_or(1, |reduction| size(&reduction.axes)))
}
