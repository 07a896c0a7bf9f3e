//! Sums of products: matrix products and convolutions of any dimension as one register-blocked loop nest.
//!
//! The output is cut into tiles of `rows x columns` that stay in registers while the sum runs. A row is one iteration of the
//! loops that only the first factor (and perhaps the output) depends on, flattened; columns are the loop that only the second
//! factor depends on. The first factor is read through guarded row addresses, so that padding and ragged edges need no
//! second loop; the second is rearranged at compile time into panels of columns when it is constant.

mod affine;
pub(super) mod block_scaled;
mod decoded;
mod depth;
mod factors;
mod roles;
mod tile;
mod tiles;

pub(super) use factors::SecondFactor;
pub(super) use roles::{Loops, Roles, analyze};
pub use roles::{is_contraction, reads_contiguously, wants_unpadded};

use super::build::{Block, Context, KernelBuilder, for_loop};
use super::nest::Nest;
use super::{Argument, Packing, Scheduled};
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{BufferDecl, BufferId, LocalId, LoopKind, Operand, Place, RowId, Scalar, Stmt};
use lostwax_ir::types::DType;
use lostwax_target_api::Caps;
use roles::Right;
use tile::{Tile, choose_tile};
use tiles::{Grid, Position, Tiles};

/// Builds the kernel for a nest in these roles.
pub(super) fn schedule(
    name: &str,
    nest: &Nest,
    roles: &Roles,
    inputs: &[Argument],
    buffers: Vec<BufferDecl>,
    caps: &Caps,
) -> Scheduled {
    let tile = choose_tile(roles, caps);
    let packed = roles.packable(inputs).then(|| pack(roles, tile.panel)).flatten();
    let mut builder = KernelBuilder::new(buffers);
    let grid = Grid::new(&roles.loops, &tile);
    let item = builder.symbol("item", &grid.count());
    let emitter = Emitter::new(&mut builder, nest, roles, tile, packed.as_ref());
    let tile = |builder: &mut KernelBuilder, position: &Position| emitter.tile_body(builder, position);
    let body = emitter.tiles.item(&mut builder, &grid, &Dim::symbol(&item), &tile);
    let kernel = builder.finish(name, item, grid.count(), body);
    Scheduled { kernel, packing: packed.map(|(packing, _)| packing).into_iter().collect(), slow: None }
}

/// Panels of columns: `[loops but column.., panel, .., lane]` with the column cut in two, zero where it overhangs. Gives the
/// packing and the index of an element in it, over the original loops but the column, and two symbols for panel and lane.
fn pack(roles: &Roles, panel: i64) -> Option<(Packing, Dim)> {
    let Right::Plain(input, index) = &roles.right else { return None };
    let columns = roles.loops.column.extent.clone();
    let (panel_axis, lane_axis) = (Axis::new("%panel", &columns.ceil_div(panel)), Axis::new("%lane", &panel.into()));
    let mut loops: Vec<Axis> = roles.right_loops().into_iter().filter(|axis| *axis != roles.loops.column).collect();
    let first_reduced =
        loops.iter().position(|axis| roles.loops.taps.contains(axis) || *axis == roles.loops.depth).unwrap_or(loops.len());
    loops.insert(first_reduced, panel_axis.clone());
    loops.push(lane_axis.clone());
    let column = panel_axis.dim() * panel.into() + lane_axis.dim();
    let index = index.replace(&roles.loops.column.symbol, &column);
    let position = loops.iter().fold(Dim::default(), |flat, axis| flat * axis.extent.clone() + axis.dim());
    let valid = columns - 1.into() - column;
    Some((Packing { input: *input as usize, loops, index, valid }, position))
}

/// Emits one contraction.
struct Emitter<'a> {
    tiles: Tiles<'a>,
    roles: &'a Roles,
    /// The index of a packed element, over the loops, `%panel` and `%lane`.
    packed: Option<Dim>,
    weights: LocalId,
    addresses: RowId,
    depth_stride: Dim,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, roles: &'a Roles, tile: Tile, packed: Option<&(Packing, Dim)>) -> Self {
        let width = tile.panel * tile.panels;
        let tiles = Tiles::new(builder, nest, &roles.loops, tile);
        let weights = builder.local("weights", DType::F32, width as u32);
        let depth_stride = roles.left.1.affine_in(&roles.loops.depth.symbol).map_or_else(Dim::default, |(stride, _)| stride);
        let reach = roles.loops.depth.extent.as_constant().unwrap_or(1) - 1;
        let extent = reach.saturating_mul(depth_stride.as_constant().unwrap_or(1)) + 1;
        let addresses = builder.rows("row", BufferId(roles.left.0), tile.rows as u32, extent as u32);
        Self { tiles, roles, packed: packed.map(|(_, index)| index.clone()), weights, addresses, depth_stride }
    }

    fn tile_body(&self, builder: &mut KernelBuilder, position: &Position) -> Block {
        let mut block = self.tiles.clear(builder);
        block.extend(self.clear_weights(builder));
        let mut context = Context::default();
        let mut loops = Vec::new();
        for axis in &self.roles.loops.taps {
            let symbol = builder.symbol("tap", &axis.extent);
            context = context.bind(&axis.symbol, Dim::symbol(&symbol));
            loops.push((symbol, axis.extent.clone()));
        }
        context = self.tiles.bind_batch(context, position);
        let mut inner = vec![self.set_rows(builder, position, &context)];
        inner.push(self.sum_depth(builder, position, &context));
        for (symbol, extent) in loops.into_iter().rev() {
            inner = vec![for_loop(&symbol, extent, LoopKind::Serial, inner)];
        }
        block.extend(inner);
        block.push(self.tiles.store(builder, position));
        block
    }

    /// Weights that are not there count as 0.
    fn clear_weights(&self, builder: &mut KernelBuilder) -> Option<Stmt> {
        let store = |place| vec![Stmt::Store { place, value: Operand::float(DType::F32, 0.0) }];
        self.loads_partly()
            .then(|| self.tiles.each_vector(builder, |_, column| store(Place::Local(self.weights, column.clone()))))
    }

    /// Whether the last panel of weights may have fewer columns than lanes; the remaining lanes then count as 0.
    fn loads_partly(&self) -> bool {
        let whole = self.packed.is_some() || self.roles.right_fills_panels();
        !whole && !self.tiles.columns().is_multiple_of(self.tiles.tile.panel * self.tiles.tile.panels)
    }

    fn set_rows(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Stmt {
        let row = builder.symbol("r", &self.tiles.tile.rows.into());
        let flat = self.tiles.existing_row(position, &row);
        let context = self.tiles.bind_rows(context.clone(), &flat).bind(&self.roles.loops.depth.symbol, Dim::default());
        let set = Stmt::SetRow {
            row: self.addresses,
            at: Dim::symbol(&row),
            offset: context.dim(&self.roles.left.1),
            valid: context.cond(&self.roles.left.2),
        };
        for_loop(&row, self.tiles.tile.rows, LoopKind::Unrolled, vec![set])
    }

    fn sum_depth(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Stmt {
        match &self.roles.right {
            Right::Plain(input, index) => {
                let depth = builder.symbol("k", &self.roles.loops.depth.extent);
                let weights = |builder: &mut KernelBuilder, context: &Context<'_>| {
                    self.load_weights(builder, position, context, (*input, index))
                };
                let body = self.step(builder, context, &Dim::symbol(&depth), weights);
                for_loop(&depth, self.roles.loops.depth.extent.clone(), LoopKind::Serial, body)
            }
            Right::Decoded { body, period } => self.sum_decoded(builder, position, context, body, *period),
        }
    }

    /// One step along the depth.
    fn step(
        &self,
        builder: &mut KernelBuilder,
        context: &Context<'_>,
        depth: &Dim,
        weights: impl FnOnce(&mut KernelBuilder, &Context<'_>) -> Block,
    ) -> Block {
        let context = context.clone().bind(&self.roles.loops.depth.symbol, depth.clone());
        let mut body = weights(builder, &context);
        body.push(self.multiply(builder, &(depth.clone() * self.depth_stride.clone())));
        body
    }

    /// Keeps a value for each of the tile's columns.
    fn each_weight(
        &self,
        builder: &mut KernelBuilder,
        mut value: impl FnMut(&mut KernelBuilder, &mut Block, &Dim, &Dim) -> (Operand, Option<Dim>),
    ) -> Block {
        self.tiles.each_chunk(builder, |builder, block, first, lane| {
            let (value, active) = value(builder, block, first, lane);
            block.push(Stmt::Store { place: Place::Local(self.weights, first.clone() + lane.clone()), value });
            active
        })
    }

    fn load_weights(
        &self,
        builder: &mut KernelBuilder,
        position: &Position,
        context: &Context<'_>,
        (input, index): (u32, &Dim),
    ) -> Block {
        self.each_weight(builder, |builder, body, first, lane| {
            let (index, active) = self.weight_index(position, context, index, first, lane);
            (builder.define(body, Scalar::Load(Place::Buffer(BufferId(input), index))), active)
        })
    }

    /// The buffer index of a weight, and how many lanes may be read.
    fn weight_index(
        &self,
        position: &Position,
        context: &Context<'_>,
        index: &Dim,
        first: &Dim,
        lane: &Dim,
    ) -> (Dim, Option<Dim>) {
        let panel = position.panel.clone() + first.floor_div(self.tiles.tile.panel);
        let within = first.modulo(self.tiles.tile.panel) + lane.clone();
        if let Some(packed) = &self.packed {
            let panel = self.tiles.existing_panel(panel);
            let index = packed.substitute(&|symbol| match symbol.name() {
                "%panel" => Some(panel.clone()),
                "%lane" => Some(within.clone()),
                _ => None,
            });
            return (context.dim(&index), None);
        }
        let start = panel * self.tiles.tile.panel.into() + first.modulo(self.tiles.tile.panel);
        let index = index.replace(&self.roles.loops.column.symbol, &(start.clone() + lane.clone()));
        let active = self.loads_partly().then(|| self.tiles.active_lanes(&start));
        (context.dim(&index), active)
    }

    fn multiply(&self, builder: &mut KernelBuilder, offset: &Dim) -> Stmt {
        let row = builder.symbol("r", &self.tiles.tile.rows.into());
        let at = Dim::symbol(&row);
        let mut body = Vec::new();
        let left = builder.define(&mut body, Scalar::Load(Place::Row(self.addresses, at.clone(), offset.clone())));
        body.push(self.tiles.each_vector(builder, |builder, column| {
            let mut lanes = Vec::new();
            let weight = builder.define(&mut lanes, Scalar::Load(Place::Local(self.weights, column.clone())));
            let sum = builder.define(&mut lanes, Scalar::Load(self.tiles.sum_at(&at, column)));
            let value = builder.define(&mut lanes, Scalar::MulAdd(left, weight, sum));
            lanes.push(Stmt::Store { place: self.tiles.sum_at(&at, column), value });
            lanes
        }));
        for_loop(&row, self.tiles.tile.rows, LoopKind::Unrolled, body)
    }
}
