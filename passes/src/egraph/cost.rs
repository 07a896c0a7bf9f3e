//! What nodes cost, in picoseconds of the target.

use super::analysis::{Known, TensorGraph, node_parts};
use super::language::ENode;
use crate::pass::{Context, CostTable};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Bindings, Dim};
use lostwax_ir::ops::{Op, Work as OpWork};
use lostwax_ir::types::TensorType;

/// What a kernel does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Operations on single elements.
    scalar: f64,
    /// Operations of contractions, more where they are slow.
    flops: f64,
    /// Bytes read, more where order is bad.
    read: f64,
    /// Bytes written, likewise.
    written: f64,
    /// How often starting a kernel counts; 0 for what needs none.
    starts: f64,
}

impl Work {
    /// The work with contractions and traffic counted `weight` times.
    fn weighted(self, weight: f64) -> Self {
        let Self { scalar, flops, read, written, starts } = self;
        Self { scalar, flops: flops * weight, read: read * weight, written: written * weight, starts }
    }

    /// The part that counts of what is nearly always read or written through.
    fn inlined(self, fraction: f64) -> Self {
        Self { starts: self.starts * fraction, ..self.weighted(fraction) }
    }

    /// The work without storing the result.
    pub(super) fn absorbed(self) -> Self {
        Self { written: 0.0, starts: 0.0, ..self }
    }

    /// Whether a kernel is needed: views need none, and what is nearly always read or written through needs none of its own.
    pub(super) fn starts(&self) -> bool {
        self.starts >= 1.0
    }
}

/// The size that a dim is taken to have: symbols are clamped to their ranges.
pub fn representative(dim: &Dim, symbol_size: i64) -> f64 {
    if let Some(value) = dim.as_constant() {
        return value as f64;
    }
    let mut bindings = Bindings::new();
    dim.for_each_symbol(&mut |symbol| {
        bindings.insert(symbol.name().to_string(), symbol_size.clamp(symbol.min(), symbol.max()));
    });
    dim.eval(&bindings).unwrap_or(symbol_size) as f64
}

/// Prices nodes by a target's table.
#[derive(Clone, Copy)]
pub struct Prices<'a> {
    table: &'a CostTable,
    memory_weight: f64,
}

impl<'a> Prices<'a> {
    /// The prices under these options.
    pub fn new(ctx: &'a Context) -> Self {
        Self { table: &ctx.costs, memory_weight: ctx.memory_weight }
    }

    fn elements(&self, ty: &TensorType) -> f64 {
        ty.dims.iter().map(|dim| self.size(dim).max(0.0)).product()
    }

    fn bytes(&self, ty: &TensorType) -> f64 {
        self.elements(ty) / ty.dtype.values_per_unit() as f64 * ty.dtype.size() as f64
    }

    fn size(&self, dim: &Dim) -> f64 {
        representative(dim, self.table.symbol_size)
    }

    /// What storing a constant is worth, in picoseconds.
    pub fn constant(&self, ty: &TensorType) -> f64 {
        1.0 + self.bytes(ty) * self.table.constant_byte_ns * 1000.0
    }

    /// What a kernel costs, in picoseconds; at least 1.
    pub fn kernel(&self, work: &Work) -> u64 {
        let moved = (work.read + work.written) * self.memory_weight / self.table.bytes_per_ns;
        let rest = (work.flops / self.table.flops_per_ns).max(moved) + work.starts * self.table.dispatch_ns;
        let time = work.scalar / self.table.scalar_ops_per_ns + rest;
        (time * 1000.0).round().max(1.0) as u64
    }

    /// What the kernel of a node does that computes some operands itself: `absorbed` has their work.
    pub fn work(&self, egraph: &TensorGraph, node: &ENode, ty: &TensorType, absorbed: &[Option<Work>]) -> Work {
        let Some((op, (attrs, operands))) = node.op().and_then(|op| Some((op, node_parts(egraph, op, &node.children)?))) else {
            return Work::default();
        };
        let mut work = self.alone(op, &attrs, &operands, ty);
        for (part, operand) in absorbed.iter().zip(&operands) {
            if let Some(part) = part {
                work.scalar += part.scalar;
                work.flops += part.flops;
                work.read += part.read - self.bytes(&operand.ty);
            }
        }
        work
    }

    fn alone(&self, op: Op, attrs: &Attrs, operands: &[&Known], ty: &TensorType) -> Work {
        let (read, out) = (operands.iter().map(|known| self.bytes(&known.ty)).sum::<f64>(), self.elements(ty));
        let moved = Work { read, written: self.bytes(ty), starts: 1.0, ..Work::default() };
        match op.def().work {
            OpWork::Nothing => Work::default(),
            OpWork::Scalar(count) => Work { scalar: out * count, ..moved },
            OpWork::Operands => Work { scalar: operands.iter().map(|known| self.elements(&known.ty)).sum(), ..moved },
            OpWork::Window => self.window(attrs, operands, ty, moved),
            OpWork::MultiplyAdds(loops) => {
                let types: Vec<&TensorType> = operands.iter().map(|known| known.ty.as_ref()).collect();
                self.contraction(&loops(&types, attrs, ty), attrs, ty, moved)
            }
            OpWork::Copy => moved,
            OpWork::Permutation => moved.weighted(self.table.transpose_factor),
            OpWork::Selection => Work { read: moved.written, ..moved }.inlined(self.table.inlined_fraction),
            OpWork::Assembly => moved.inlined(self.table.inlined_fraction),
        }
    }

    fn contraction(&self, loops: &[Dim], attrs: &Attrs, ty: &TensorType, moved: Work) -> Work {
        let products: f64 = loops.iter().map(|extent| self.size(extent).max(0.0)).product();
        let last = channels_last(attrs).unwrap_or(true);
        let work = Work { flops: 2.0 * products, ..moved }.weighted(self.order_factor(last));
        Work { flops: work.flops * self.idle_factor(last, ty), ..work }
    }

    /// A window without channels in a declared place leaves the innermost size as it is when these are last.
    fn window(&self, attrs: &Attrs, operands: &[&Known], ty: &TensorType, moved: Work) -> Work {
        let taps: i64 = attrs.ints("kernel").iter().product();
        let keeps_last = || operands.first().is_some_and(|x| x.ty.dims.last() == ty.dims.last());
        let factor = self.order_factor(channels_last(attrs).unwrap_or_else(keeps_last));
        Work { scalar: self.elements(ty) * taps.max(1) as f64 * factor, ..moved }.weighted(factor)
    }

    /// How much longer a contraction takes whose columns do not fill the lanes.
    fn idle_factor(&self, last: bool, ty: &TensorType) -> f64 {
        let columns = ty.dims.last().filter(|_| last).map_or(self.table.column_lanes, |dim| self.size(dim));
        (self.table.column_lanes / columns.max(1.0)).max(1.0)
    }

    fn order_factor(&self, last: bool) -> f64 {
        if last { 1.0 } else { self.table.channels_first_factor }
    }
}

/// Whether channels are innermost, for ops that say so.
fn channels_last(attrs: &Attrs) -> Option<bool> {
    attrs.get("channels_last").map(|_| attrs.flag("channels_last"))
}
