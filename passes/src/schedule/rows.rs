//! Reductions over contiguous memory: one lane per reduced element, one output element at a time.

use super::build::{ALL_LANES, Block, Context, KernelBuilder, bind, for_loop};
use super::nest::{Nest, NestReduction};
use super::reduce::{accumulate, combine_lanes, identity};
use crate::size_hint::size_hint;
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, Kernel, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_target_api::Caps;

/// Builds the kernel.
pub(super) fn schedule(name: &str, nest: &Nest, reduction: &NestReduction, buffers: Vec<BufferDecl>, caps: &Caps) -> Kernel {
    let mut builder = KernelBuilder::new(buffers);
    let emitter = Emitter::new(&mut builder, nest, reduction, caps);
    let count = product(nest.axes.iter().map(|axis| &axis.extent));
    let grid = count.ceil_div(emitter.block);
    let item = builder.symbol("item", &grid);
    let first = Dim::symbol(&item) * emitter.block.into();
    let step = builder.symbol("row", &emitter.block.into());
    let body = emitter.row(&mut builder, &(first.clone() + Dim::symbol(&step)));
    let rows = (count - first).minimum(emitter.block);
    let body = vec![for_loop(&step, rows, LoopKind::Serial, body)];
    builder.finish(name, item, grid, body)
}

struct Emitter<'a> {
    nest: &'a Nest,
    reduction: &'a NestReduction,
    partial: LocalId,
    lanes: i64,
    /// Output elements per work item.
    block: i64,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, reduction: &'a NestReduction, caps: &Caps) -> Self {
        let wide = i64::from(caps.vector_bytes) * 4 / reduction.dtype.size() as i64;
        let inner = reduction.axes.last().map_or(1, |axis| size_hint(&axis.extent)).max(1);
        let lanes = wide.min(64).min((inner as u64).next_power_of_two() as i64).max(1);
        let work: i64 = reduction.axes.iter().map(|axis| size_hint(&axis.extent)).product();
        let partial = builder.local("partial", reduction.dtype, lanes as u32);
        Self { nest, reduction, partial, lanes, block: (i64::from(caps.item_elements) / work.max(1)).max(1) }
    }

    fn row(&self, builder: &mut KernelBuilder, flat: &Dim) -> Block {
        let mut context = bind(Context::default(), &self.nest.axes, flat);
        let mut block = self.clear(builder);
        block.extend(self.reduce(builder, context.clone(), &self.reduction.axes));
        let combine = |builder: &mut KernelBuilder, block: &mut Block, low, high| {
            builder.define(block, Scalar::Binary(self.reduction.op.combine(), low, high))
        };
        block.extend(combine_lanes(builder, self.partial, self.lanes, combine));
        context.reduced = Some(builder.define(&mut block, Scalar::Load(Place::Local(self.partial, Dim::default()))));
        builder.store_result(&mut block, self.nest, &context);
        block
    }

    fn identity(&self) -> Operand {
        identity(self.reduction.op, self.reduction.dtype)
    }

    fn clear(&self, builder: &mut KernelBuilder) -> Block {
        let lane = builder.symbol("lane", &self.lanes.into());
        let store = Stmt::Store { place: Place::Local(self.partial, Dim::symbol(&lane)), value: self.identity() };
        vec![for_loop(&lane, self.lanes, ALL_LANES, vec![store])]
    }

    fn reduce<'c>(&'c self, builder: &mut KernelBuilder, context: Context<'c>, axes: &'c [Axis]) -> Block {
        match axes {
            [] => self.vector(builder, &context, None, ALL_LANES),
            [last] => self.vectors(builder, &context, last),
            [axis, rest @ ..] => {
                let symbol = builder.symbol("r", &axis.extent);
                let body = self.reduce(builder, context.bind(&axis.symbol, Dim::symbol(&symbol)), rest);
                vec![for_loop(&symbol, axis.extent.clone(), LoopKind::Serial, body)]
            }
        }
    }

    fn vectors(&self, builder: &mut KernelBuilder, context: &Context<'_>, axis: &Axis) -> Block {
        let whole = axis.extent.floor_div(self.lanes);
        let step = builder.symbol("v", &whole);
        let body = self.vector(builder, context, Some((axis, Dim::symbol(&step) * self.lanes.into())), ALL_LANES);
        let mut block = vec![for_loop(&step, whole.clone(), LoopKind::Serial, body)];
        if !axis.extent.is_multiple_of(self.lanes) {
            let start = whole * self.lanes.into();
            let active = Some(axis.extent.clone() - start.clone());
            block.extend(self.vector(builder, context, Some((axis, start)), LoopKind::Vector { active }));
        }
        block
    }

    /// One vector of the innermost loop; without one, a single lane.
    fn vector(&self, builder: &mut KernelBuilder, context: &Context<'_>, at: Option<(&Axis, Dim)>, kind: LoopKind) -> Block {
        let lane = builder.symbol("lane", &self.lanes.into());
        let mut context = context.clone();
        if let Some((axis, start)) = &at {
            context = context.bind(&axis.symbol, start.clone() + Dim::symbol(&lane));
        }
        let mut body = Vec::new();
        accumulate(builder, &mut body, self.reduction, &context, &Place::Local(self.partial, Dim::symbol(&lane)));
        vec![for_loop(&lane, self.lanes, kind, body)]
    }
}
