//! Reductions whose output is contiguous: one lane per output element, the reduced loops inside.
//!
//! Covers depthwise convolution, pooling and reductions over outer dimensions. Several neighbouring output positions are
//! computed together, so that what they share is loaded once; positions whose window lies wholly inside take a path without
//! conditions.

use super::build::{ALL_LANES, Block, Context, KernelBuilder, bind_each, for_loop, literal, unflatten, when};
use super::nest::{Nest, NestReduction};
use super::reduce::{accumulate, identity};
use crate::size_hint::size_hint;
use lostwax_ir::compute::{Axis, Step, StepId};
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::{BufferDecl, Cond, Kernel, LocalId, LoopKind, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, ReduceOp};
use lostwax_target_api::Caps;

/// Positions that are computed together, at most.
const MAX_POSITIONS: i64 = 4;

/// Builds the kernel, if the nest has a loop along which output and reduced loads are contiguous.
pub(super) fn schedule(
    name: &str,
    nest: &Nest,
    reduction: &NestReduction,
    buffers: Vec<BufferDecl>,
    caps: &Caps,
) -> Option<Kernel> {
    let plan = Plan::new(nest, reduction, caps)?;
    let mut builder = KernelBuilder::new(buffers);
    let sums = builder.local("sums", reduction.dtype, (plan.positions * plan.lanes) as u32);
    let grid = plan.grid();
    let item = builder.symbol("item", &grid);
    let (reduction, guards) = hoist_guards(reduction, plan.tiled.as_ref());
    let emitter = Emitter { nest, reduction: &reduction, plan: &plan, sums, guards };
    let body = emitter.item(&mut builder, &Dim::symbol(&item));
    Some(builder.finish(name, item, grid, body))
}

/// How the loops are cut.
struct Plan {
    /// Loops whose iterations become work items.
    outer: Vec<Axis>,
    /// The loop with several iterations that run together.
    tiled: Option<Axis>,
    positions: i64,
    /// The loop whose iterations become lanes.
    vector: Axis,
    lanes: i64,
    /// Whether work items also cut the vector loop.
    split_vector: bool,
    /// Whether positions that are computed together are a work item of their own.
    split_tiled: bool,
}

impl Plan {
    fn new(nest: &Nest, reduction: &NestReduction, caps: &Caps) -> Option<Self> {
        let vector = nest.axes.iter().find(|axis| nest.writes_neighbours(axis))?.clone();
        if !loads_fit(reduction, &vector) {
            return None;
        }
        let mut outer: Vec<Axis> = nest.axes.iter().filter(|axis| **axis != vector).cloned().collect();
        let tiled = outer.pop();
        let positions = tiled.as_ref().map_or(1, |axis| best_height(size_hint(&axis.extent)));
        let lanes = choose_lanes(&vector, positions, caps, reduction.dtype.size() as i64);
        let items: i64 = outer.iter().map(|axis| size_hint(&axis.extent)).product();
        let split_vector = items < i64::from(caps.parallelism) * 2;
        let along = tiled.as_ref().map_or(1, |axis| size_hint(&axis.extent));
        let split_tiled = along.saturating_mul(lanes) > i64::from(caps.item_elements);
        Some(Self { outer, tiled, positions, vector, lanes, split_vector, split_tiled })
    }

    fn chunks(&self) -> Dim {
        self.vector.extent.ceil_div(self.lanes)
    }

    fn extents(&self) -> Vec<Dim> {
        let tiles = self.tiled.iter().filter(|_| self.split_tiled).map(|axis| axis.extent.ceil_div(self.positions));
        let chunks = self.split_vector.then(|| self.chunks());
        self.outer.iter().map(|axis| axis.extent.clone()).chain(tiles).chain(chunks).collect()
    }

    fn grid(&self) -> Dim {
        product(&self.extents())
    }
}

fn loads_fit(reduction: &NestReduction, vector: &Axis) -> bool {
    super::nest::body_loads(&reduction.value).all(|(index, valid)| {
        let stride = index.affine_in(&vector.symbol).map(|(stride, _)| stride);
        stride.is_some_and(|s| s.is(0) || s.is(1)) && valid.0.iter().all(|part| !part.mentions(&vector.symbol))
    })
}

fn best_height(extent: i64) -> i64 {
    (1..=MAX_POSITIONS).rev().min_by_key(|height| (extent + height - 1) / height * (height + 1)).unwrap_or(1)
}

/// As many lanes as divide the loop and leave the sums in registers.
fn choose_lanes(vector: &Axis, positions: i64, caps: &Caps, element: i64) -> i64 {
    let budget = i64::from(caps.vector_registers) * 5 / 8 * i64::from(caps.vector_bytes) / element;
    let limit = (budget / positions).clamp(8, 64);
    let widths = [64, 32, 16, 8].into_iter().filter(|width| *width <= limit);
    let divides = widths.clone().find(|width| vector.extent.is_multiple_of(*width));
    divides.unwrap_or_else(|| {
        widths
            .min_by_key(|width| {
                let extent = size_hint(&vector.extent);
                (extent + width - 1) / width * (width + 4)
            })
            .unwrap_or(8)
    })
}

struct Emitter<'a> {
    nest: &'a Nest,
    reduction: &'a NestReduction,
    plan: &'a Plan,
    sums: LocalId,
    /// For each reduced loop, what must hold for an iteration to contribute.
    guards: Vec<Cond>,
}

/// Takes those conditions out of the reduced loads that are the same for all positions of a tile, where an element that does
/// not exist contributes nothing. Gives the rest of the reduction, and the conditions by the innermost loop they depend on.
fn hoist_guards(reduction: &NestReduction, tiled: Option<&Axis>) -> (NestReduction, Vec<Cond>) {
    let mut guards = vec![Cond::default(); reduction.axes.len()];
    let mut rest = reduction.clone();
    if !missing_is_neutral(reduction) {
        return (rest, guards);
    }
    for step in &mut rest.value.steps {
        let Step::Load { valid, .. } = step else { continue };
        valid.0.retain(|part| {
            let level = reduction.axes.iter().rposition(|axis| part.mentions(&axis.symbol));
            let shared = tiled.is_none_or(|axis| !part.mentions(&axis.symbol));
            let Some(level) = level.filter(|_| shared) else { return true };
            guards[level].0.push(part.clone());
            false
        });
    }
    (rest, guards)
}

/// Whether a point at which a guarded load has no element leaves the reduction as it is.
fn missing_is_neutral(reduction: &NestReduction) -> bool {
    let nothing = |step: &Step| match step {
        Step::Load { valid, otherwise, .. } => {
            valid.always() || literal(reduction.dtype, *otherwise) == identity(reduction.op, reduction.dtype)
        }
        _ => false,
    };
    match reduction.value.steps.as_slice() {
        [load] => nothing(load),
        [a, b, Step::Binary(BinaryOp::Mul, StepId(0), StepId(1))] => reduction.op == ReduceOp::Sum && nothing(a) && nothing(b),
        _ => false,
    }
}

impl<'a> Emitter<'a> {
    fn item(&self, builder: &mut KernelBuilder, item: &Dim) -> Block {
        let coords = unflatten(item, &self.plan.extents());
        let context = bind_each(Context::default(), &self.plan.outer, &coords);
        let chunk = if self.plan.split_vector { coords.last().cloned() } else { None };
        let Some(axis) = &self.plan.tiled else {
            return self.chunks(builder, &context, chunk, &Dim::default());
        };
        if self.plan.split_tiled {
            let tile = coords.get(self.plan.outer.len()).cloned().unwrap_or_default();
            return self.chunks(builder, &context, chunk, &(tile * self.plan.positions.into()));
        }
        let step = builder.symbol("x", &axis.extent.ceil_div(self.plan.positions));
        let first = Dim::symbol(&step) * self.plan.positions.into();
        let body = self.chunks(builder, &context, chunk, &first);
        vec![for_loop(&step, axis.extent.ceil_div(self.plan.positions), LoopKind::Serial, body)]
    }

    fn chunks(&self, builder: &mut KernelBuilder, context: &Context<'a>, chunk: Option<Dim>, first: &Dim) -> Block {
        let lanes = Dim::constant(self.plan.lanes);
        let extent = self.plan.vector.extent.clone();
        let exact = extent.is_multiple_of(self.plan.lanes);
        if let Some(chunk) = chunk {
            let start = chunk * lanes;
            let active = (!exact).then(|| (extent - start.clone()).minimum(self.plan.lanes));
            return self.guarded_tile(builder, context, first, &start, active.as_ref());
        }
        let whole = extent.floor_div(self.plan.lanes);
        let step = builder.symbol("c", &whole);
        let tile = self.guarded_tile(builder, context, first, &(Dim::symbol(&step) * lanes.clone()), None);
        let mut block = vec![for_loop(&step, whole.clone(), LoopKind::Serial, tile)];
        if !exact {
            let start = whole * lanes;
            let rest = extent - start.clone();
            block.extend(self.guarded_tile(builder, context, first, &start, Some(&rest)));
        }
        block
    }

    /// One tile, with conditions only where the window reaches outside.
    fn guarded_tile(
        &self,
        builder: &mut KernelBuilder,
        context: &Context<'a>,
        first: &Dim,
        start: &Dim,
        active: Option<&Dim>,
    ) -> Block {
        let inside = self.inside(context, first);
        if inside.always() {
            return self.tile(builder, context, first, start, active);
        }
        let mut free = context.clone();
        free.unguarded = true;
        let then = self.tile(builder, &free, first, start, active);
        let otherwise = self.tile(builder, context, first, start, active);
        vec![Stmt::If { cond: inside, then, otherwise }]
    }

    /// Holds where no condition of the reduced loads can fail for any position of the tile.
    fn inside(&self, context: &Context<'a>, first: &Dim) -> Cond {
        let conditions = super::nest::body_loads(&self.reduction.value).flat_map(|(_, valid)| valid.0.clone());
        let parts = conditions.map(|part| {
            let mut lowest = part;
            for axis in &self.reduction.axes {
                lowest = lowest_over(&lowest, &axis.symbol, &(axis.extent.clone() - 1.into()));
            }
            if let Some(axis) = &self.plan.tiled {
                let at = builder_free_position();
                let last = Dim::constant(self.plan.positions - 1);
                lowest = lowest_over(&lowest.replace(&axis.symbol, &(first.clone() + Dim::symbol(&at))), &at, &last);
            }
            context.dim(&lowest)
        });
        Cond(parts.collect()).simplify()
    }

    fn tile(&self, builder: &mut KernelBuilder, context: &Context<'a>, first: &Dim, start: &Dim, active: Option<&Dim>) -> Block {
        let mut block = vec![self.each_position(builder, first, context, start, None, |emitter, _, _, sum| {
            let value = identity(emitter.reduction.op, emitter.reduction.dtype);
            vec![Stmt::Store { place: sum.clone(), value }]
        })];
        let mut context = context.clone();
        let mut loops = Vec::new();
        for axis in &self.reduction.axes {
            let symbol = builder.symbol("r", &axis.extent);
            context = context.bind(&axis.symbol, Dim::symbol(&symbol));
            loops.push((symbol, axis.extent.clone()));
        }
        let mut inner = vec![self.each_position(builder, first, &context, start, active, |emitter, builder, context, sum| {
            let mut body = Vec::new();
            accumulate(builder, &mut body, emitter.reduction, context, sum);
            body
        })];
        for ((symbol, extent), guard) in loops.into_iter().zip(&self.guards).rev() {
            inner = vec![for_loop(&symbol, extent, LoopKind::Serial, when(context.cond(guard), inner))];
        }
        block.extend(inner);
        block.push(self.store(builder, &context, first, start, active));
        block
    }

    /// Runs `body` for each position of the tile; positions past the end repeat the last one.
    fn each_position(
        &self,
        builder: &mut KernelBuilder,
        first: &Dim,
        context: &Context<'a>,
        start: &Dim,
        active: Option<&Dim>,
        body: impl FnOnce(&Self, &mut KernelBuilder, &Context<'a>, &Place) -> Block,
    ) -> Stmt {
        let (at, lane) = (builder.symbol("p", &self.plan.positions.into()), builder.symbol("lane", &self.plan.lanes.into()));
        let mut context = context.clone().bind(&self.plan.vector.symbol, start.clone() + Dim::symbol(&lane));
        if let Some(axis) = &self.plan.tiled {
            let position = first.clone() + Dim::symbol(&at);
            let ragged = !axis.extent.is_multiple_of(self.plan.positions);
            let position = if ragged { position.minimum(axis.extent.clone() - 1.into()) } else { position };
            context = context.bind(&axis.symbol, position);
        }
        let inner = body(self, builder, &context, &self.sum_at(&at, &lane));
        let kind = LoopKind::Vector { active: active.cloned() };
        let kind = if active.is_none() { ALL_LANES } else { kind };
        for_loop(&at, self.plan.positions, LoopKind::Unrolled, vec![for_loop(&lane, self.plan.lanes, kind, inner)])
    }

    fn sum_at(&self, at: &Symbol, lane: &Symbol) -> Place {
        Place::Local(self.sums, Dim::symbol(at) * self.plan.lanes.into() + Dim::symbol(lane))
    }

    fn store(&self, builder: &mut KernelBuilder, context: &Context<'a>, first: &Dim, start: &Dim, active: Option<&Dim>) -> Stmt {
        let (at, lane) = (builder.symbol("p", &self.plan.positions.into()), builder.symbol("lane", &self.plan.lanes.into()));
        let mut context = context.clone().bind(&self.plan.vector.symbol, start.clone() + Dim::symbol(&lane));
        let mut exists = Cond::default();
        if let Some(axis) = &self.plan.tiled {
            let position = first.clone() + Dim::symbol(&at);
            if !axis.extent.is_multiple_of(self.plan.positions) {
                exists.0.push(axis.extent.clone() - 1.into() - position.clone());
            }
            context = context.bind(&axis.symbol, position);
        }
        let mut body = Vec::new();
        context.unguarded = false;
        context.reduced = Some(builder.define(&mut body, Scalar::Load(self.sum_at(&at, &lane))));
        builder.store_result(&mut body, self.nest, &context);
        let kind = LoopKind::Vector { active: active.cloned() };
        let vectors = vec![for_loop(&lane, self.plan.lanes, kind, body)];
        for_loop(&at, self.plan.positions, LoopKind::Unrolled, when(exists, vectors))
    }
}

/// A symbol for the position within a tile while conditions are examined.
fn builder_free_position() -> Symbol {
    Symbol::new("%position", 0, MAX_POSITIONS - 1)
}

/// The least value of `dim` for `symbol` in `0..=last`; `dim` itself, hence never too large, where that cannot be told.
fn lowest_over(dim: &Dim, symbol: &Symbol, last: &Dim) -> Dim {
    match dim.affine_in(symbol) {
        Some((slope, rest)) if slope.bounds().0 >= 0 => rest,
        Some((slope, rest)) if slope.bounds().1 <= 0 => rest + slope * last.clone(),
        _ => Dim::constant(-1),
    }
}
