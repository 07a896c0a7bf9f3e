//! Sums of products whose second factor is decoded on the way.

use super::affine::Affine;
use super::depth::Depth;
use super::tiles::Position;
use super::{Block, Emitter};
use crate::schedule::build::{Context, KernelBuilder};
use lostwax_ir::compute::Body;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{LocalId, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

/// Steps along the depth that mostly share what decodes them, best first.
const GROUPS: [i64; 2] = [32, 16];

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
        let extent = &self.roles.loops.depth.extent;
        let fits = |group: &i64| extent.is_multiple_of(*group) && group % period == 0;
        let affine = |group: i64| Some((group, Affine::new(value, &self.roles.loops.depth, group)?));
        let parts = GROUPS.into_iter().filter(fits).find_map(affine).filter(|_| self.tiles.tile.rows == 1);
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
        let (once, each) = self.tiles.prefetches(position, context, &value.steps, &depth);
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
        let width = (self.tiles.tile.panel * self.tiles.tile.panels) as u32;
        let sums =
            GroupSums { products: builder.local("products", DType::F32, width), total: builder.local("total", DType::F32, 1) };
        let (mut before, each) = self.tiles.prefetches(position, context, &value.steps, depth);
        before.extend(self.clear_group(builder, &sums));
        let at = depth.at(Dim::symbol(&depth.inner));
        let inside = context.clone().bind(&self.roles.loops.depth.symbol, at.clone());
        let body = self.add_quants(builder, position, &inside, &affine.quant, &sums, &at);
        let whole = context.clone().bind(&self.roles.loops.depth.symbol, depth.start());
        let after = self.scale_group(builder, position, &whole, affine, &sums);
        depth.nest(before, each, body, after)
    }

    fn clear_group(&self, builder: &mut KernelBuilder, sums: &GroupSums) -> Block {
        let zero = || Operand::float(DType::F32, 0.0);
        let mut block = self.tiles.each_chunk(builder, |_, block, first, lane| {
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
        block.extend(self.tiles.each_chunk(builder, |builder, block, first, lane| {
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
        block.extend(self.tiles.each_chunk(builder, |builder, block, first, lane| {
            let column = first.clone() + lane.clone();
            let (scale, active) = self.decode(builder, block, (position, context), &affine.scale, (first, lane));
            let product = builder.define(block, Scalar::Load(sums.product(column.clone())));
            let place = self.tiles.sum_at(&Dim::default(), &column);
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
        let start = self.tiles.existing_column(position, first);
        let active = self.loads_partly().then(|| self.tiles.active_lanes(&start));
        let mut context = context.clone().bind(&self.roles.loops.column.symbol, start + lane.clone());
        context.contracted = true;
        (builder.expand(block, value, &context), active)
    }
}
