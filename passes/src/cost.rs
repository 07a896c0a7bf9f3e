//! What kernels cost: the data of a machine, and the model that turns them into time.
//!
//! The optimizer chooses among equal graphs the one whose kernels take the least time by a [`CostModel`]. A kernel computes one
//! operation, or several at once; [`CostModel::work`] says what an operation alone takes, the optimizer adds up the work of
//! those that share a kernel, without what they then need not read and write, and [`CostModel::nanoseconds`] says how long
//! such a kernel runs. Both have the roofline of [`CostTable`] as default, so that a model may replace one and keep the other.

use crate::size_hint::{self, size_hint_at};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::{Op, Work as OpWork};
use lostwax_ir::types::TensorType;
use lostwax_target_api::Caps;
use std::fmt;

/// The speed of the target's machine, as far as cost models use it.
#[derive(Clone, Debug, PartialEq)]
pub struct CostTable {
    /// Floating-point operations per nanosecond of well-scheduled contractions; a multiply-add is two.
    pub flops_per_ns: f64,
    /// Simple operations per nanosecond on single elements, outside of contractions.
    pub scalar_ops_per_ns: f64,
    /// Bytes per nanosecond between memory and the processor.
    pub bytes_per_ns: f64,
    /// Nanoseconds to start one kernel.
    pub dispatch_ns: f64,
    /// The fraction of traffic and launch cost that is charged for slices, broadcasts and concatenations, which are nearly always
    /// fused into their users or written in place.
    pub inlined_fraction: f64,
    /// How many times longer convolutions and windows take when channels are not innermost.
    pub channels_first_factor: f64,
    /// The columns of a contraction that are computed together, needed or not.
    pub column_lanes: f64,
    /// How many times longer traffic takes that permutes axes.
    pub transpose_factor: f64,
    /// Nanoseconds that one byte of stored constants is worth.
    pub constant_byte_ns: f64,
    /// The size hint of a symbolic dimension, clamped to its range.
    pub symbol_size: i64,
}

impl Default for CostTable {
    fn default() -> Self {
        Self {
            flops_per_ns: 100.0,
            scalar_ops_per_ns: 10.0,
            bytes_per_ns: 15.0,
            dispatch_ns: 1000.0,
            inlined_fraction: 0.05,
            channels_first_factor: 3.0,
            column_lanes: 8.0,
            transpose_factor: 2.0,
            constant_byte_ns: 1e-6,
            symbol_size: size_hint::SYMBOL,
        }
    }
}

impl From<&Caps> for CostTable {
    /// What a target says of its machine, and the defaults for what it does not.
    fn from(caps: &Caps) -> Self {
        let Caps { flops_per_ns, bytes_per_ns, dispatch_ns, .. } = *caps;
        Self { flops_per_ns, bytes_per_ns, dispatch_ns, ..Self::default() }
    }
}

impl CostTable {
    /// The size hint of a dim: its value where every symbol is [`CostTable::symbol_size`], clamped to its range.
    pub fn size(&self, dim: &Dim) -> f64 {
        size_hint_at(dim, self.symbol_size) as f64
    }

    /// The elements of a tensor, by size hints.
    pub fn elements(&self, ty: &TensorType) -> f64 {
        ty.dims.iter().map(|dim| self.size(dim).max(0.0)).product()
    }

    /// The bytes of a tensor, by size hints.
    pub fn bytes(&self, ty: &TensorType) -> f64 {
        self.elements(ty) / ty.dtype.values_per_unit() as f64 * ty.dtype.size() as f64
    }
}

/// What a kernel does. All counts are of one run of the kernel, by size hints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Simple operations on single elements.
    pub scalar: f64,
    /// Floating-point operations of contractions, more where they are slow; a multiply-add is two.
    pub flops: f64,
    /// Bytes read, more where their order is bad.
    pub read: f64,
    /// Bytes written, likewise.
    pub written: f64,
    /// Kernel launches that are charged: 1; less for ops that are nearly always fused into their users; 0 for views.
    pub starts: f64,
}

impl Work {
    /// The work with contractions and traffic counted `weight` times.
    pub fn weighted(self, weight: f64) -> Self {
        let Self { scalar, flops, read, written, starts } = self;
        Self { scalar, flops: flops * weight, read: read * weight, written: written * weight, starts }
    }

    /// The fraction that counts of what is nearly always read or written through.
    pub fn inlined(self, fraction: f64) -> Self {
        Self { starts: self.starts * fraction, ..self.weighted(fraction) }
    }

    /// The work without storing the result.
    pub(crate) fn absorbed(self) -> Self {
        Self { written: 0.0, starts: 0.0, ..self }
    }

    /// Whether a kernel is needed: views need none, and what is nearly always read or written through needs none of its own.
    pub fn needs_kernel(&self) -> bool {
        self.starts >= 1.0
    }
}

/// An operation whose work is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// The op; [`lostwax_ir::ops::OpDef::work`] says what it does per element.
    pub op: Op,
    /// Its attributes.
    pub attrs: &'a Attrs,
    /// The types of the operands.
    pub operands: &'a [&'a TensorType],
    /// The type of the result.
    pub result: &'a TensorType,
}

/// Says how long kernels run. Equal arguments must give equal results, on every machine.
pub trait CostModel: fmt::Debug + Send + Sync {
    /// The work of a kernel that computes this operation alone: it reads all operands and writes the result.
    fn work(&self, operation: &Operation<'_>, costs: &CostTable) -> Work {
        roofline_work(operation, costs)
    }

    /// Nanoseconds that a kernel with this work takes; at least 0. Bytes already count as often as
    /// [`crate::Context::memory_weight`] says.
    fn nanoseconds(&self, work: &Work, costs: &CostTable) -> f64 {
        roofline_nanoseconds(work, costs)
    }
}

/// The default: contractions and traffic overlap, so that the slower one counts; scalar operations and starts come on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roofline;

impl CostModel for Roofline {}

/// What [`Roofline`] says of an operation.
pub fn roofline_work(operation: &Operation<'_>, costs: &CostTable) -> Work {
    let Operation { op, attrs, operands, result } = *operation;
    let (read, out) = (operands.iter().map(|ty| costs.bytes(ty)).sum::<f64>(), costs.elements(result));
    let moved = Work { read, written: costs.bytes(result), starts: 1.0, ..Work::default() };
    match op.def().work {
        OpWork::Nothing => Work::default(),
        OpWork::Scalar(count) => Work { scalar: out * count, ..moved },
        OpWork::Operands => Work { scalar: operands.iter().map(|ty| costs.elements(ty)).sum(), ..moved },
        OpWork::Window => window(operation, costs, moved),
        OpWork::MultiplyAdds(loops) => contraction(&loops(operands, attrs, result), operation, costs, moved),
        OpWork::Copy => moved,
        OpWork::Permutation => moved.weighted(costs.transpose_factor),
        OpWork::Selection => Work { read: moved.written, ..moved }.inlined(costs.inlined_fraction),
        OpWork::Assembly => moved.inlined(costs.inlined_fraction),
    }
}

/// How long [`Roofline`] takes a kernel to run.
pub fn roofline_nanoseconds(work: &Work, costs: &CostTable) -> f64 {
    let moved = (work.read + work.written) / costs.bytes_per_ns;
    let rest = (work.flops / costs.flops_per_ns).max(moved) + work.starts * costs.dispatch_ns;
    work.scalar / costs.scalar_ops_per_ns + rest
}

fn contraction(loops: &[Dim], operation: &Operation<'_>, costs: &CostTable, moved: Work) -> Work {
    let products: f64 = loops.iter().map(|extent| costs.size(extent).max(0.0)).product();
    let last = channels_last(operation.attrs).unwrap_or(true);
    let work = Work { flops: 2.0 * products, ..moved }.weighted(order_factor(last, costs));
    Work { flops: work.flops * idle_factor(last, operation.result, costs), ..work }
}

/// A window whose op declares no order of channels has them last if it leaves the innermost size as it is.
fn window(operation: &Operation<'_>, costs: &CostTable, moved: Work) -> Work {
    let Operation { attrs, operands, result, .. } = *operation;
    let taps: i64 = attrs.ints("kernel").iter().product();
    let keeps_last = || operands.first().is_some_and(|x| x.dims.last() == result.dims.last());
    let factor = order_factor(channels_last(attrs).unwrap_or_else(keeps_last), costs);
    Work { scalar: costs.elements(result) * taps.max(1) as f64 * factor, ..moved }.weighted(factor)
}

/// How many times longer a contraction takes whose columns do not fill the lanes.
fn idle_factor(last: bool, result: &TensorType, costs: &CostTable) -> f64 {
    let columns = result.dims.last().filter(|_| last).map_or(costs.column_lanes, |dim| costs.size(dim));
    (costs.column_lanes / columns.max(1.0)).max(1.0)
}

fn order_factor(last: bool, costs: &CostTable) -> f64 {
    if last { 1.0 } else { costs.channels_first_factor }
}

/// Whether channels are innermost, for ops that declare their order.
fn channels_last(attrs: &Attrs) -> Option<bool> {
    attrs.get("channels_last").map(|_| attrs.flag("channels_last"))
}
