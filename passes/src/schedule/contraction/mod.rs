//! Sums of products: matrix products and convolutions of any dimension as one register-blocked loop nest.
//!
//! The output is cut into tiles of `rows x columns` that stay in registers while the sum runs. A row is one iteration of the
//! loops that only the first factor (and perhaps the output) depends on, flattened; columns are the loop that only the second
//! factor depends on. The first factor is read through guarded row addresses, so that padding and ragged edges need no
//! second loop; the second is rearranged at compile time into panels of columns when it is constant.

mod affine;
mod decoded;
mod roles;
mod tile;

pub(super) use roles::analyze;
pub use roles::{is_contraction, reads_contiguously, wants_unpadded};

use super::build::{ALL_LANES, Block, Context, KernelBuilder, for_loop, unflatten, when};
use super::nest::Nest;
use super::{Argument, Packing, Scheduled};
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, BufferId, Cond, LocalId, LoopKind, Operand, Place, RowId, Scalar, Stmt};
use lostwax_ir::types::DType;
use lostwax_target_api::Caps;
use roles::{Right, Roles};
use tile::{Tile, choose_tile};

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
    let grid = Grid::new(roles, &tile);
    let item = builder.symbol("item", &grid.count());
    let emitter = Emitter::new(&mut builder, nest, roles, tile, packed.as_ref());
    let body = emitter.item(&mut builder, &grid, &Dim::symbol(&item));
    let kernel = builder.finish(name, item, grid.count(), body);
    Scheduled { kernel, packing: packed.map(|(packing, _)| packing).into_iter().collect(), slow: None }
}

/// Panels of columns: `[loops but column.., panel, .., lane]` with the column cut in two, zero where it overhangs. Gives the
/// packing and the index of an element in it, over the original loops but the column, and two symbols for panel and lane.
fn pack(roles: &Roles, panel: i64) -> Option<(Packing, Dim)> {
    let Right::Plain(input, index) = &roles.right else { return None };
    let columns = roles.column.extent.clone();
    let (panel_axis, lane_axis) = (Axis::new("%panel", &columns.ceil_div(panel)), Axis::new("%lane", &panel.into()));
    let mut loops: Vec<Axis> = roles.right_loops().into_iter().filter(|axis| *axis != roles.column).collect();
    let first_reduced = loops.iter().position(|axis| roles.taps.contains(axis) || *axis == roles.depth).unwrap_or(loops.len());
    loops.insert(first_reduced, panel_axis.clone());
    loops.push(lane_axis.clone());
    let column = panel_axis.dim() * panel.into() + lane_axis.dim();
    let index = index.replace(&roles.column.symbol, &column);
    let position = loops.iter().fold(Dim::default(), |flat, axis| flat * axis.extent.clone() + axis.dim());
    let valid = columns - 1.into() - column;
    Some((Packing { input: *input as usize, loops, index, valid }, position))
}

/// The blocks that work items stand for.
struct Grid {
    batch: Vec<Dim>,
    row_blocks: Dim,
    column_blocks: Dim,
}

impl Grid {
    fn new(roles: &Roles, tile: &Tile) -> Self {
        Self {
            batch: roles.batch.iter().map(|axis| axis.extent.clone()).collect(),
            row_blocks: roles.row_count().ceil_div(tile.block_rows),
            column_blocks: roles.column.extent.ceil_div(tile.panel).ceil_div(tile.block_panels),
        }
    }

    fn extents(&self) -> Vec<Dim> {
        self.batch.iter().cloned().chain([self.row_blocks.clone(), self.column_blocks.clone()]).collect()
    }

    fn count(&self) -> Dim {
        product(&self.extents())
    }
}

/// Emits one contraction.
struct Emitter<'a> {
    nest: &'a Nest,
    roles: &'a Roles,
    tile: Tile,
    /// The index of a packed element, over the loops, `%panel` and `%lane`.
    packed: Option<Dim>,
    sums: LocalId,
    weights: LocalId,
    addresses: RowId,
    depth_stride: Dim,
}

/// Where a tile lies.
struct Position {
    /// The coordinates of the batch loops.
    batch: Vec<Dim>,
    /// The first row, flattened.
    row: Dim,
    /// The first panel.
    panel: Dim,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, roles: &'a Roles, tile: Tile, packed: Option<&(Packing, Dim)>) -> Self {
        let width = tile.panel * tile.panels;
        let sums = builder.local("sums", DType::F32, (tile.rows * width) as u32);
        let weights = builder.local("weights", DType::F32, width as u32);
        let depth_stride = roles.left.1.affine_in(&roles.depth.symbol).map_or_else(Dim::default, |(stride, _)| stride);
        let reach = roles.depth.extent.as_constant().unwrap_or(1) - 1;
        let extent = reach.saturating_mul(depth_stride.as_constant().unwrap_or(1)) + 1;
        let addresses = builder.rows("row", BufferId(roles.left.0), tile.rows as u32, extent as u32);
        Self { nest, roles, tile, packed: packed.map(|(_, index)| index.clone()), sums, weights, addresses, depth_stride }
    }

    fn columns(&self) -> Dim {
        self.roles.column.extent.clone()
    }

    /// The lanes from this column on that have a column.
    fn active_lanes(&self, first: &Dim) -> Dim {
        (self.columns() - first.clone()).minimum(self.tile.lanes).maximum(0)
    }

    fn panel_count(&self) -> Dim {
        self.columns().ceil_div(self.tile.panel)
    }

    fn item(&self, builder: &mut KernelBuilder, grid: &Grid, item: &Dim) -> Block {
        let coords = unflatten(item, &grid.extents());
        let (batch, blocks) = coords.split_at(grid.batch.len());
        let (Some(row_block), Some(column_block)) = (blocks.first(), blocks.get(1)) else { return Vec::new() };
        let first_row = row_block.clone() * self.tile.block_rows.into();
        let first_panel = column_block.clone() * self.tile.block_panels.into();
        let rows = (self.roles.row_count() - first_row.clone()).minimum(self.tile.block_rows).ceil_div(self.tile.rows);
        let panels = (self.panel_count() - first_panel.clone()).minimum(self.tile.block_panels).ceil_div(self.tile.panels);
        let (row_tile, panel_tile) = (
            builder.symbol("row", &Dim::constant(self.tile.block_rows / self.tile.rows)),
            builder.symbol("panel", &Dim::constant(self.tile.block_panels / self.tile.panels)),
        );
        let position = Position {
            batch: batch.to_vec(),
            row: first_row + Dim::symbol(&row_tile) * self.tile.rows.into(),
            panel: first_panel + Dim::symbol(&panel_tile) * self.tile.panels.into(),
        };
        let tile = self.tile_body(builder, &position);
        vec![for_loop(&panel_tile, panels, LoopKind::Serial, vec![for_loop(&row_tile, rows, LoopKind::Serial, tile)])]
    }

    fn tile_body(&self, builder: &mut KernelBuilder, position: &Position) -> Block {
        let mut block = self.clear(builder);
        let mut context = Context::default();
        let mut loops = Vec::new();
        for axis in &self.roles.taps {
            let symbol = builder.symbol("tap", &axis.extent);
            context = context.bind(&axis.symbol, Dim::symbol(&symbol));
            loops.push((symbol, axis.extent.clone()));
        }
        for (axis, coord) in self.roles.batch.iter().zip(&position.batch) {
            context = context.bind(&axis.symbol, coord.clone());
        }
        let mut inner = vec![self.set_rows(builder, position, &context)];
        inner.push(self.sum_depth(builder, position, &context));
        for (symbol, extent) in loops.into_iter().rev() {
            inner = vec![for_loop(&symbol, extent, LoopKind::Serial, inner)];
        }
        block.extend(inner);
        block.push(self.store(builder, position));
        block
    }

    /// Runs `body` for each vector of a panel row; it is given the position within the tile's columns.
    fn each_vector(&self, builder: &mut KernelBuilder, body: impl FnOnce(&mut KernelBuilder, &Dim) -> Block) -> Stmt {
        let chunks = self.tile.panel * self.tile.panels / self.tile.lanes;
        let (chunk, lane) = (builder.symbol("chunk", &chunks.into()), builder.symbol("lane", &self.tile.lanes.into()));
        let column = Dim::symbol(&chunk) * self.tile.lanes.into() + Dim::symbol(&lane);
        let inner = body(builder, &column);
        for_loop(&chunk, chunks, LoopKind::Unrolled, vec![for_loop(&lane, self.tile.lanes, ALL_LANES, inner)])
    }

    fn sum_at(&self, row: &Dim, column: &Dim) -> Place {
        let width = Dim::constant(self.tile.panel * self.tile.panels);
        Place::Local(self.sums, row.clone() * width + column.clone())
    }

    fn clear(&self, builder: &mut KernelBuilder) -> Block {
        let row = builder.symbol("r", &self.tile.rows.into());
        let zero = Operand::float(DType::F32, 0.0);
        let store = |place| vec![Stmt::Store { place, value: zero.clone() }];
        let sums = self.each_vector(builder, |_, column| store(self.sum_at(&Dim::symbol(&row), column)));
        let mut block = vec![for_loop(&row, self.tile.rows, LoopKind::Unrolled, vec![sums])];
        if self.loads_partly() {
            block.push(self.each_vector(builder, |_, column| store(Place::Local(self.weights, column.clone()))));
        }
        block
    }

    /// Whether the last panel of weights may have fewer columns than lanes, of which the rest then count as 0.
    fn loads_partly(&self) -> bool {
        let whole = self.packed.is_some() || self.roles.right_fills_panels();
        !whole && !self.columns().is_multiple_of(self.tile.panel * self.tile.panels)
    }

    /// Whether tiles may reach past the last row.
    fn ragged(&self) -> bool {
        !self.roles.row_count().is_multiple_of(self.tile.rows)
    }

    fn bind_rows<'c>(&'c self, context: Context<'c>, flat: &Dim) -> Context<'c> {
        let extents: Vec<Dim> = self.roles.rows.iter().map(|axis| axis.extent.clone()).collect();
        let coords = unflatten(flat, &extents);
        self.roles.rows.iter().zip(coords).fold(context, |context, (axis, coord)| context.bind(&axis.symbol, coord))
    }

    fn set_rows(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Stmt {
        let row = builder.symbol("r", &self.tile.rows.into());
        let mut flat = position.row.clone() + Dim::symbol(&row);
        if self.ragged() {
            flat = flat.minimum(self.roles.row_count() - 1.into());
        }
        let context = self.bind_rows(context.clone(), &flat).bind(&self.roles.depth.symbol, Dim::default());
        let set = Stmt::SetRow {
            row: self.addresses,
            at: Dim::symbol(&row),
            offset: context.dim(&self.roles.left.1),
            valid: context.cond(&self.roles.left.2),
        };
        for_loop(&row, self.tile.rows, LoopKind::Unrolled, vec![set])
    }

    fn sum_depth(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Stmt {
        match &self.roles.right {
            Right::Plain(input, index) => {
                let depth = builder.symbol("k", &self.roles.depth.extent);
                let weights = |builder: &mut KernelBuilder, context: &Context<'_>| {
                    self.load_weights(builder, position, context, (*input, index))
                };
                let body = self.step(builder, context, &Dim::symbol(&depth), weights);
                for_loop(&depth, self.roles.depth.extent.clone(), LoopKind::Serial, body)
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
        let context = context.clone().bind(&self.roles.depth.symbol, depth.clone());
        let mut body = weights(builder, &context);
        body.push(self.multiply(builder, &(depth.clone() * self.depth_stride.clone())));
        body
    }

    /// Runs `body` for each vector of the tile's columns; it is given the first column and the lane, and gives how many lanes are
    /// active.
    fn each_chunk(
        &self,
        builder: &mut KernelBuilder,
        mut body: impl FnMut(&mut KernelBuilder, &mut Block, &Dim, &Dim) -> Option<Dim>,
    ) -> Block {
        let lanes = Dim::constant(self.tile.lanes);
        (0..self.tile.panel * self.tile.panels / self.tile.lanes)
            .map(|chunk| {
                let (first, lane) = (Dim::constant(chunk * self.tile.lanes), builder.symbol("lane", &lanes));
                let mut block = Vec::new();
                let active = body(builder, &mut block, &first, &Dim::symbol(&lane));
                for_loop(&lane, lanes.clone(), LoopKind::Vector { active }, block)
            })
            .collect()
    }

    /// Keeps a value for each of the tile's columns.
    fn each_weight(
        &self,
        builder: &mut KernelBuilder,
        mut value: impl FnMut(&mut KernelBuilder, &mut Block, &Dim, &Dim) -> (Operand, Option<Dim>),
    ) -> Block {
        self.each_chunk(builder, |builder, block, first, lane| {
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

    /// The panel, or the last one for those of a tile that do not exist.
    fn existing_panel(&self, panel: Dim) -> Dim {
        if self.tile.panels == 1 { panel } else { panel.minimum(self.panel_count() - 1.into()) }
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
        let panel = position.panel.clone() + first.floor_div(self.tile.panel);
        let within = first.modulo(self.tile.panel) + lane.clone();
        if let Some(packed) = &self.packed {
            let panel = self.existing_panel(panel);
            let index = packed.substitute(&|symbol| match symbol.name() {
                "%panel" => Some(panel.clone()),
                "%lane" => Some(within.clone()),
                _ => None,
            });
            return (context.dim(&index), None);
        }
        let start = panel * self.tile.panel.into() + first.modulo(self.tile.panel);
        let index = index.replace(&self.roles.column.symbol, &(start.clone() + lane.clone()));
        let active = self.loads_partly().then(|| self.active_lanes(&start));
        (context.dim(&index), active)
    }

    fn multiply(&self, builder: &mut KernelBuilder, offset: &Dim) -> Stmt {
        let row = builder.symbol("r", &self.tile.rows.into());
        let at = Dim::symbol(&row);
        let mut body = Vec::new();
        let left = builder.define(&mut body, Scalar::Load(Place::Row(self.addresses, at.clone(), offset.clone())));
        body.push(self.each_vector(builder, |builder, column| {
            let mut lanes = Vec::new();
            let weight = builder.define(&mut lanes, Scalar::Load(Place::Local(self.weights, column.clone())));
            let sum = builder.define(&mut lanes, Scalar::Load(self.sum_at(&at, column)));
            let value = builder.define(&mut lanes, Scalar::MulAdd(left, weight, sum));
            lanes.push(Stmt::Store { place: self.sum_at(&at, column), value });
            lanes
        }));
        for_loop(&row, self.tile.rows, LoopKind::Unrolled, body)
    }

    fn store(&self, builder: &mut KernelBuilder, position: &Position) -> Stmt {
        let row = builder.symbol("r", &self.tile.rows.into());
        let flat = position.row.clone() + Dim::symbol(&row);
        let mut context = self.bind_rows(Context::default(), &flat);
        for (axis, coord) in self.roles.batch.iter().zip(&position.batch) {
            context = context.bind(&axis.symbol, coord.clone());
        }
        let exists = self.ragged().then(|| self.roles.row_count() - 1.into() - flat);
        let mut body = Vec::new();
        for panel in 0..self.tile.panels {
            body.extend(self.store_panel(builder, position, &Dim::symbol(&row), panel, &context));
        }
        for_loop(&row, self.tile.rows, LoopKind::Unrolled, when(Cond(exists.into_iter().collect()), body))
    }

    fn store_panel(
        &self,
        builder: &mut KernelBuilder,
        position: &Position,
        row: &Dim,
        panel: i64,
        context: &Context<'_>,
    ) -> Block {
        let start = (position.panel.clone() + panel.into()) * self.tile.panel.into();
        let whole = self.store_vectors(builder, &start, row, panel, context, false);
        if self.columns().is_multiple_of(self.tile.panel * self.tile.panels) {
            return whole;
        }
        let partial = self.store_vectors(builder, &start, row, panel, context, true);
        let fits = Cond(vec![self.columns() - start - self.tile.panel.into()]);
        vec![Stmt::If { cond: fits, then: whole, otherwise: partial }]
    }

    fn store_vectors(
        &self,
        builder: &mut KernelBuilder,
        start: &Dim,
        row: &Dim,
        panel: i64,
        context: &Context<'_>,
        partial: bool,
    ) -> Block {
        let lanes = Dim::constant(self.tile.lanes);
        (0..self.tile.panel / self.tile.lanes)
            .map(|chunk| {
                let lane = builder.symbol("lane", &lanes);
                let first = Dim::constant(chunk * self.tile.lanes);
                let column = start.clone() + first.clone();
                let active = partial.then(|| self.active_lanes(&column));
                let sum = self.sum_at(row, &(first + Dim::constant(panel * self.tile.panel) + Dim::symbol(&lane)));
                let mut body = Vec::new();
                let reduced = builder.define(&mut body, Scalar::Load(sum));
                let mut context = context.clone().bind(&self.roles.column.symbol, column + Dim::symbol(&lane));
                context.reduced = Some(reduced);
                let value = builder.expand(&mut body, &self.nest.result, &context);
                let output = BufferId(builder.buffers.len() as u32 - 1);
                body.push(Stmt::Store { place: Place::Buffer(output, context.dim(&self.nest.index)), value });
                for_loop(&lane, lanes.clone(), LoopKind::Vector { active }, body)
            })
            .collect()
    }
}
