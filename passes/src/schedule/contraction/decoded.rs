//! Sums of products whose second factor is decoded on the way.

use super::affine::Affine;
use super::{Block, Emitter, Position};
use crate::schedule::build::{Context, KernelBuilder, for_loop};
use lostwax_ir::compute::{Body, Step};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferId, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use std::collections::BTreeSet;

/// Steps along the depth that mostly share what decodes them, best first.
const GROUPS: [i64; 2] = [32, 16];

/// The loops along the depth: groups, and in them steps of `period`, which are expanded.
struct Depth {
    groups: Dim,
    steps: Dim,
    group: i64,
    period: i64,
    outer: Symbol,
    middle: Symbol,
    inner: Symbol,
}

impl Depth {
    fn new(builder: &mut KernelBuilder, extent: &Dim, group: i64, period: i64) -> Self {
        let (groups, steps) = (extent.floor_div(group), Dim::constant(group / period));
        let (outer, middle) = (builder.symbol("k", &groups), builder.symbol("s", &steps));
        let inner = builder.symbol("i", &period.into());
        Self { groups, steps, group, period, outer, middle, inner }
    }

    /// The position at the start of a group.
    fn start(&self) -> Dim {
        Dim::symbol(&self.outer) * self.group.into()
    }

    /// The position in the innermost loop, with something in place of its counter.
    fn at(&self, inner: Dim) -> Dim {
        self.start() + Dim::symbol(&self.middle) * self.period.into() + inner
    }

    /// The loops, with what happens before and after the steps of a group, and before each of them.
    fn nest(&self, before: Block, each: Block, body: Block, after: Block) -> Stmt {
        let step = [each, vec![for_loop(&self.inner, self.period, LoopKind::Unrolled, body)]].concat();
        let steps = for_loop(&self.middle, self.steps.clone(), LoopKind::Serial, step);
        for_loop(&self.outer, self.groups.clone(), LoopKind::Serial, [before, vec![steps], after].concat())
    }
}

/// Where the sums of one group are kept.
struct GroupSums {
    /// Of products with quants, for each column.
    products: LocalId,
    /// Of the first factor.
    total: LocalId,
}

impl GroupSums {
    fn product(&self, column: Dim) -> Place {
        Place::Local(self.products, column)
    }

    fn total(&self) -> Place {
        Place::Local(self.total, Dim::default())
    }
}

impl Emitter<'_> {
    /// Runs over the depth of a decoded factor. With one row, its affine parts are applied once for each group.
    pub(super) fn sum_decoded(
        &self,
        builder: &mut KernelBuilder,
        position: &Position,
        context: &Context<'_>,
        value: &Body,
        period: i64,
    ) -> Stmt {
        let extent = &self.roles.depth.extent;
        let fits = |group: &i64| extent.is_multiple_of(*group) && group % period == 0;
        let affine = |group: i64| Some((group, Affine::new(value, &self.roles.depth, group)?));
        let parts = GROUPS.into_iter().filter(fits).find_map(affine).filter(|_| self.tile.rows == 1);
        if let Some((group, affine)) = parts {
            let depth = Depth::new(builder, extent, group, period);
            return self.sum_affine(builder, position, context, (value, &affine), &depth);
        }
        let group = GROUPS.into_iter().find(fits).unwrap_or(period);
        let depth = Depth::new(builder, extent, group, period);
        let weights = |builder: &mut KernelBuilder, context: &Context<'_>| {
            self.each_weight(builder, |builder, block, first, lane| {
                self.decode(builder, block, (position, context), value, (first, lane))
            })
        };
        let body = self.step(builder, context, &depth.at(Dim::symbol(&depth.inner)), weights);
        let (once, each) = self.prefetches(position, context, value, &depth);
        depth.nest(once, each, body, Vec::new())
    }

    /// Sums the products with the quants of a group, and the first factor; then scales both and adds them to the sums.
    fn sum_affine(
        &self,
        builder: &mut KernelBuilder,
        position: &Position,
        context: &Context<'_>,
        (value, affine): (&Body, &Affine),
        depth: &Depth,
    ) -> Stmt {
        let width = (self.tile.panel * self.tile.panels) as u32;
        let sums =
            GroupSums { products: builder.local("products", DType::F32, width), total: builder.local("total", DType::F32, 1) };
        let (mut before, each) = self.prefetches(position, context, value, depth);
        before.extend(self.clear_group(builder, &sums));
        let at = depth.at(Dim::symbol(&depth.inner));
        let inside = context.clone().bind(&self.roles.depth.symbol, at.clone());
        let body = self.add_quants(builder, position, &inside, &affine.quant, &sums, &at);
        let whole = context.clone().bind(&self.roles.depth.symbol, depth.start());
        let after = self.scale_group(builder, position, &whole, affine, &sums);
        depth.nest(before, each, body, after)
    }

    fn clear_group(&self, builder: &mut KernelBuilder, sums: &GroupSums) -> Block {
        let zero = || Operand::float(DType::F32, 0.0);
        let mut block = self.each_chunk(builder, |_, block, first, lane| {
            block.push(Stmt::Store { place: sums.product(first.clone() + lane.clone()), value: zero() });
            None
        });
        block.push(Stmt::Store { place: sums.total(), value: zero() });
        block
    }

    fn add_quants(
        &self,
        builder: &mut KernelBuilder,
        position: &Position,
        context: &Context<'_>,
        quant: &Body,
        sums: &GroupSums,
        at: &Dim,
    ) -> Block {
        let mut block = Vec::new();
        let offset = at.clone() * self.depth_stride.clone();
        let left = builder.define(&mut block, Scalar::Load(Place::Row(self.addresses, Dim::default(), offset)));
        let old = builder.define(&mut block, Scalar::Load(sums.total()));
        let value = builder.define(&mut block, Scalar::Binary(BinaryOp::Add, old, left.clone()));
        block.push(Stmt::Store { place: sums.total(), value });
        block.extend(self.each_chunk(builder, |builder, block, first, lane| {
            let (quant, active) = self.decode(builder, block, (position, context), quant, (first, lane));
            let place = sums.product(first.clone() + lane.clone());
            let old = builder.define(block, Scalar::Load(place.clone()));
            let value = builder.define(block, Scalar::MulAdd(left.clone(), quant, old));
            block.push(Stmt::Store { place, value });
            active
        }));
        block
    }

    fn scale_group(
        &self,
        builder: &mut KernelBuilder,
        position: &Position,
        context: &Context<'_>,
        affine: &Affine,
        sums: &GroupSums,
    ) -> Block {
        let mut block = Vec::new();
        let total = builder.define(&mut block, Scalar::Load(sums.total()));
        block.extend(self.each_chunk(builder, |builder, block, first, lane| {
            let column = first.clone() + lane.clone();
            let (scale, active) = self.decode(builder, block, (position, context), &affine.scale, (first, lane));
            let product = builder.define(block, Scalar::Load(sums.product(column.clone())));
            let place = self.sum_at(&Dim::default(), &column);
            let old = builder.define(block, Scalar::Load(place.clone()));
            let mut value = builder.define(block, Scalar::MulAdd(scale, product, old));
            for (offset, negated) in &affine.offsets {
                let (mut term, _) = self.decode(builder, block, (position, context), offset, (first, lane));
                if *negated {
                    term = builder.define(block, Scalar::Unary(UnaryOp::Neg, term));
                }
                value = builder.define(block, Scalar::MulAdd(total.clone(), term, value));
            }
            block.push(Stmt::Store { place, value });
            active
        }));
        block
    }

    /// Appends a value for one vector of columns; gives it and how many lanes may be read.
    fn decode(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        (position, context): (&Position, &Context<'_>),
        value: &Body,
        (first, lane): (&Dim, &Dim),
    ) -> (Operand, Option<Dim>) {
        let panel = self.existing_panel(position.panel.clone() + first.floor_div(self.tile.panel));
        let start = panel * self.tile.panel.into() + first.modulo(self.tile.panel);
        let active = self.loads_partly().then(|| self.active_lanes(&start));
        let mut context = context.clone().bind(&self.roles.column.symbol, start + lane.clone());
        context.contracted = true;
        (builder.expand(block, value, &context), active)
    }

    /// Prefetches of what the tile of columns after this one decodes at the same places along the depth, if each element is read
    /// only once: those of a group, and those of each step in it.
    fn prefetches(&self, position: &Position, context: &Context<'_>, value: &Body, depth: &Depth) -> (Block, Block) {
        let mut ahead = BTreeSet::new();
        let panels = if self.roles.row_count().is(self.tile.rows) { self.tile.panels } else { 0 };
        for (panel, at) in (0..panels).flat_map(|panel| (0..depth.period).map(move |at| (panel, at))) {
            let column = (position.panel.clone() + (self.tile.panels + panel).into()) * self.tile.panel.into();
            let context = context.clone().bind(&self.roles.column.symbol, column);
            let context = context.bind(&self.roles.depth.symbol, depth.at(at.into()));
            ahead.extend(value.steps.iter().filter_map(|step| match step {
                Step::Load { input, coords, .. } => Some((*input, context.dim(coords.first()?))),
                _ => None,
            }));
        }
        let (each, once): (Vec<_>, Vec<_>) = ahead.into_iter().partition(|(_, index)| index.mentions(&depth.middle));
        let prefetch = |(input, index)| Stmt::Prefetch(BufferId(input), index);
        (once.into_iter().map(prefetch).collect(), each.into_iter().map(prefetch).collect())
    }
}
