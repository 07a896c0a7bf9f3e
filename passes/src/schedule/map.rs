//! Nests without a reduction: one lane per output element.

use super::build::{ALL_LANES, Block, Context, KernelBuilder, bind_each, for_loop, unflatten};
use super::nest::Nest;
use crate::size_hint::size_hint;
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::{BufferDecl, Kernel, LoopKind};
use lostwax_target_api::Caps;

/// Relative cost of reading or writing one vector whose elements are not neighbours.
const SCATTERED: i64 = 12;

/// Builds the kernel.
pub(super) fn schedule(name: &str, nest: &Nest, buffers: Vec<BufferDecl>, caps: &Caps) -> Kernel {
    let mut builder = KernelBuilder::new(buffers);
    let plan = Plan::new(nest, caps);
    let grid = plan.grid();
    let item = builder.symbol("item", &grid);
    let body = plan.item(&mut builder, nest, &Dim::symbol(&item));
    builder.finish(name, item, grid, body)
}

/// How the loops are cut.
struct Plan {
    /// Loops whose iterations become work items.
    grid: Vec<Axis>,
    /// Consecutive iterations of the last grid loop (or of the vector loop, if there is no grid loop) per work item.
    block: i64,
    /// Loops inside a work item.
    inner: Vec<Axis>,
    /// The loop whose iterations become lanes; none if the output is one element.
    vector: Option<Axis>,
    lanes: i64,
    /// Whether each vector is a work item of its own.
    single: bool,
}

fn stride_cost(dim: &Dim, axis: &Axis) -> i64 {
    match dim.affine_in(&axis.symbol) {
        Some((stride, _)) if stride.is(0) || stride.is(1) => 1,
        _ => SCATTERED,
    }
}

/// The time that lanes along `axis` take, relative to other axes of the same nest.
fn vector_cost(nest: &Nest, axis: &Axis, lanes: i64) -> i64 {
    let accesses: i64 = nest.loads().map(|(index, _)| stride_cost(index, axis)).sum::<i64>() + stride_cost(&nest.index, axis);
    let extent = size_hint(&axis.extent).max(1);
    let padded = (extent + lanes - 1) / lanes * lanes;
    accesses * padded * 1024 / extent
}

fn lanes_for(nest: &Nest) -> i64 {
    if nest.dtype.size() == 8 { 8 } else { 16 }
}

impl Plan {
    fn new(nest: &Nest, caps: &Caps) -> Self {
        let mut lanes = lanes_for(nest);
        let mut axes = nest.axes.clone();
        let best = (0..axes.len()).rev().min_by_key(|position| vector_cost(nest, &axes[*position], lanes));
        let vector = best.map(|position| axes.remove(position));
        let width = vector.as_ref().map_or(1, |axis| size_hint(&axis.extent));
        if let Some(extent) = vector.as_ref().and_then(|axis| axis.extent.as_constant()) {
            lanes = lanes.min((extent.max(1) as u64).next_power_of_two() as i64);
        }
        let total: i64 = axes.iter().map(|axis| size_hint(&axis.extent)).product::<i64>() * width;
        let most = i64::from(caps.item_elements).max(1);
        let target = (total / (i64::from(caps.parallelism) * 4)).clamp((most / 4).max(1), most);
        if target <= lanes {
            let lanes = 1 << target.ilog2();
            return Self { grid: axes, block: lanes, inner: Vec::new(), vector, lanes, single: true };
        }
        let mut work = width;
        let mut split = axes.len();
        while split > 0 && work < target {
            split -= 1;
            work *= size_hint(&axes[split].extent).max(1);
        }
        let inner_work: i64 = axes.iter().skip(split + 1).map(|axis| size_hint(&axis.extent)).product::<i64>() * width;
        let inner = axes.split_off((split + 1).min(axes.len()));
        let block = if axes.is_empty() { target / lanes * lanes } else { (target / inner_work.max(1)).max(1) };
        Self { grid: axes, block: block.max(1), inner, vector, lanes, single: false }
    }

    fn blocks(&self) -> Vec<Dim> {
        if self.single {
            let vectors = self.vector.iter().map(|axis| axis.extent.ceil_div(self.lanes));
            return self.grid.iter().map(|axis| axis.extent.clone()).chain(vectors).collect();
        }
        let Some((last, first)) = self.grid.split_last() else {
            return self.vector.iter().map(|axis| axis.extent.ceil_div(self.block)).collect();
        };
        first.iter().map(|axis| axis.extent.clone()).chain([last.extent.ceil_div(self.block)]).collect()
    }

    fn grid(&self) -> Dim {
        product(&self.blocks())
    }

    fn item(&self, builder: &mut KernelBuilder, nest: &Nest, item: &Dim) -> Block {
        let coords = unflatten(item, &self.blocks());
        let context = bind_each(Context::default(), &self.grid, &coords);
        let start = coords.last().map_or_else(Dim::default, |block| block.clone() * self.block.into());
        if self.single {
            return self.single_vector(builder, nest, &context, start);
        }
        let Some(last) = self.grid.last() else {
            return self.lanes(builder, nest, &context, &start, Some(self.block));
        };
        let count = (last.extent.clone() - start.clone()).minimum(self.block);
        let step = builder.symbol("i", &self.block.into());
        let context = context.bind(&last.symbol, start + Dim::symbol(&step));
        let body = self.inner_loops(builder, nest, context, &self.inner);
        vec![for_loop(&step, count, LoopKind::Serial, body)]
    }

    /// The vector from `start` on; the last one may have lanes without an element.
    fn single_vector(&self, builder: &mut KernelBuilder, nest: &Nest, context: &Context<'_>, start: Dim) -> Block {
        let Some(axis) = &self.vector else { return store(builder, nest, context) };
        let lane = builder.symbol("lane", &self.lanes.into());
        let whole = axis.extent.is_multiple_of(self.lanes);
        let kind = LoopKind::Vector { active: (!whole).then(|| axis.extent.clone() - start.clone()) };
        let body = store(builder, nest, &context.clone().bind(&axis.symbol, start + Dim::symbol(&lane)));
        vec![for_loop(&lane, self.lanes, kind, body)]
    }

    fn inner_loops<'a>(&'a self, builder: &mut KernelBuilder, nest: &Nest, context: Context<'a>, loops: &'a [Axis]) -> Block {
        let Some((axis, rest)) = loops.split_first() else {
            return self.lanes(builder, nest, &context, &Dim::default(), None);
        };
        let symbol = builder.symbol("i", &axis.extent);
        let body = self.inner_loops(builder, nest, context.bind(&axis.symbol, Dim::symbol(&symbol)), rest);
        vec![for_loop(&symbol, axis.extent.clone(), LoopKind::Serial, body)]
    }

    /// The vector loop from `start`, over at most `limit` elements.
    fn lanes(&self, builder: &mut KernelBuilder, nest: &Nest, context: &Context<'_>, start: &Dim, limit: Option<i64>) -> Block {
        let Some(axis) = &self.vector else { return store(builder, nest, context) };
        let remaining = axis.extent.clone() - start.clone();
        let count = limit.map_or(remaining.clone(), |limit| remaining.minimum(limit));
        let whole = count.floor_div(self.lanes);
        let (step, lane) = (builder.symbol("v", &axis.extent), builder.symbol("lane", &self.lanes.into()));
        let at = |vector: Dim, lane: &Symbol| start.clone() + vector * self.lanes.into() + Dim::symbol(lane);
        let body = store(builder, nest, &context.clone().bind(&axis.symbol, at(Dim::symbol(&step), &lane)));
        let vectors = for_loop(&lane, self.lanes, ALL_LANES, body);
        let mut block = vec![for_loop(&step, whole.clone(), LoopKind::Serial, vec![vectors])];
        let rest = count - whole.clone() * self.lanes.into();
        if !axis.extent.is_multiple_of(self.lanes) && !rest.is(0) {
            let lane = builder.symbol("lane", &self.lanes.into());
            let body = store(builder, nest, &context.clone().bind(&axis.symbol, at(whole, &lane)));
            block.push(for_loop(&lane, self.lanes, LoopKind::Vector { active: Some(rest) }, body));
        }
        block
    }
}

fn store(builder: &mut KernelBuilder, nest: &Nest, context: &Context<'_>) -> Block {
    let mut body = Vec::new();
    builder.store_result(&mut body, nest, context);
    body
}
