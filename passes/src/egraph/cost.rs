//! What nodes cost, in picoseconds of the target.

use super::analysis::{Known, TensorGraph, node_parts};
use super::language::ENode;
use crate::pass::{Context, CostTable};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Bindings, Dim};
use lostwax_ir::ops::{Class, Op};
use lostwax_ir::types::TensorType;

/// Scalar operations per element of elementwise ops that take more than one.
const SCALAR_WORK: &[(Op, f64)] = &[
    (Op::Exp, 8.0),
    (Op::Log, 10.0),
    (Op::Tanh, 12.0),
    (Op::Erf, 12.0),
    (Op::Sin, 12.0),
    (Op::Cos, 12.0),
    (Op::Tan, 16.0),
    (Op::Sigmoid, 10.0),
    (Op::Silu, 10.5),
    (Op::Gelu, 13.0),
    (Op::GeluTanh, 14.0),
    (Op::HardSigmoid, 2.0),
    (Op::HardSwish, 3.0),
    (Op::Softplus, 18.0),
    (Op::Softsign, 5.0),
    (Op::Elu, 9.0),
    (Op::LeakyRelu, 2.0),
    (Op::Sqrt, 4.0),
    (Op::Recip, 4.0),
    (Op::Div, 4.5),
    (Op::Pow, 20.0),
    (Op::Modulo, 6.0),
    (Op::Remainder, 6.0),
];

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
        ty.dims.iter().map(|dim| representative(dim, self.table.symbol_size).max(0.0)).product()
    }

    fn bytes(&self, ty: &TensorType) -> f64 {
        self.elements(ty) / ty.dtype.values_per_unit() as f64 * ty.dtype.size() as f64
    }

    fn size(&self, dim: Option<&Dim>) -> f64 {
        dim.map_or(1.0, |dim| representative(dim, self.table.symbol_size))
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
        match op.def().class {
            Class::Leaf | Class::Reinterpretation => Work::default(),
            Class::Elementwise => Work { scalar: out * scalar_work(op), ..moved },
            Class::Movement => self.movement(op, moved),
            Class::Contraction => self.contraction(op, attrs, operands, ty, moved),
            Class::Window => self.window(op, attrs, operands, ty, moved),
            Class::Other if op == Op::Resize => self.window(op, attrs, operands, ty, moved),
            Class::Reduce | Class::Other => Work { scalar: operands.iter().map(|known| self.elements(&known.ty)).sum(), ..moved },
            Class::Concatenation | Class::Update | Class::Decode => moved.inlined(self.table.inlined_fraction),
        }
    }

    fn movement(&self, op: Op, moved: Work) -> Work {
        match op {
            Op::Reshape => Work::default(),
            Op::Transpose => moved.weighted(self.table.transpose_factor),
            Op::Broadcast | Op::Slice => Work { read: moved.written, ..moved }.inlined(self.table.inlined_fraction),
            _ => moved,
        }
    }

    fn contraction(&self, op: Op, attrs: &Attrs, operands: &[&Known], ty: &TensorType, moved: Work) -> Work {
        let (Some(left), Some(right)) = (operands.first(), operands.get(1)) else { return moved };
        let (out, weights) = (self.elements(ty), self.elements(&right.ty));
        let rank = ty.rank();
        let last = attrs.flag("channels_last");
        let products = match op {
            Op::MatMul => out * self.size(left.ty.dims.last()),
            Op::Conv => out * weights / self.size(right.ty.dims.get(if last { rank - 1 } else { 0 })),
            _ => self.elements(&left.ty) * weights / self.size(right.ty.dims.get(if last { rank - 2 } else { 0 })),
        };
        let work = Work { flops: 2.0 * products, ..moved }.weighted(self.order_factor(op, last));
        Work { flops: work.flops * self.idle_factor(op, last, ty), ..work }
    }

    fn window(&self, op: Op, attrs: &Attrs, operands: &[&Known], ty: &TensorType, moved: Work) -> Work {
        let taps: i64 = attrs.ints("kernel").iter().product();
        let last = match (op, operands.first()) {
            (Op::Resize, Some(x)) => x.ty.dims.last() == ty.dims.last(),
            _ => attrs.flag("channels_last"),
        };
        let factor = self.order_factor(op, last);
        Work { scalar: self.elements(ty) * taps.max(1) as f64 * factor, ..moved }.weighted(factor)
    }

    /// How much longer a contraction takes whose columns do not fill the lanes.
    fn idle_factor(&self, op: Op, channels_last: bool, ty: &TensorType) -> f64 {
        let columns = if channels_last || op == Op::MatMul { self.size(ty.dims.last()) } else { self.table.column_lanes };
        (self.table.column_lanes / columns.max(1.0)).max(1.0)
    }

    fn order_factor(&self, op: Op, channels_last: bool) -> f64 {
        if channels_last || op == Op::MatMul { 1.0 } else { self.table.channels_first_factor }
    }
}

fn scalar_work(op: Op) -> f64 {
    SCALAR_WORK.iter().find(|(known, _)| *known == op).map_or(1.0, |(_, work)| *work)
}
