//! Tiles of the output: where they lie, the sums in registers, and how they are stored.

use super::roles::Loops;
use super::tile::Tile;
use crate::schedule::build::{ALL_LANES, Block, Context, KernelBuilder, bind, bind_each, for_loop, unflatten, when};
use crate::schedule::nest::Nest;
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::{Cond, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::types::DType;

/// The blocks that work items stand for.
pub(super) struct Grid {
    batch: Vec<Dim>,
    row_blocks: Dim,
    column_blocks: Dim,
    /// Whether work items that follow each other share columns, rather than rows: single tiles of one panel read the same second
    /// factor at the same time.
    along_rows: bool,
}

impl Grid {
    pub(super) fn new(loops: &Loops, tile: &Tile) -> Self {
        Self {
            batch: loops.batch.iter().map(|axis| axis.extent.clone()).collect(),
            row_blocks: loops.row_count().ceil_div(tile.block_rows),
            column_blocks: loops.column.extent.ceil_div(tile.panel).ceil_div(tile.block_panels),
            along_rows: tile.block_rows == tile.rows,
        }
    }

    fn extents(&self) -> Vec<Dim> {
        let blocks = match self.along_rows {
            true => [self.column_blocks.clone(), self.row_blocks.clone()],
            false => [self.row_blocks.clone(), self.column_blocks.clone()],
        };
        self.batch.iter().cloned().chain(blocks).collect()
    }

    pub(super) fn count(&self) -> Dim {
        product(&self.extents())
    }
}

/// Where a tile lies.
pub(super) struct Position {
    /// The coordinates of the batch loops.
    pub(super) batch: Vec<Dim>,
    /// The first row, flattened.
    pub(super) row: Dim,
    /// The first panel.
    pub(super) panel: Dim,
}

/// The tiles of one contraction.
pub(super) struct Tiles<'a> {
    nest: &'a Nest,
    pub(super) loops: &'a Loops,
    pub(super) tile: Tile,
    /// f32, for each row and column of a tile.
    sums: LocalId,
}

impl<'a> Tiles<'a> {
    pub(super) fn new(builder: &mut KernelBuilder, nest: &'a Nest, loops: &'a Loops, tile: Tile) -> Self {
        let sums = builder.local("sums", DType::F32, (tile.rows * tile.panel * tile.panels) as u32);
        Self { nest, loops, tile, sums }
    }

    pub(super) fn columns(&self) -> Dim {
        self.loops.column.extent.clone()
    }

    /// The lanes from this column on that have a column.
    pub(super) fn active_lanes(&self, first: &Dim) -> Dim {
        (self.columns() - first.clone()).minimum(self.tile.lanes).maximum(0)
    }

    pub(super) fn panel_count(&self) -> Dim {
        self.columns().ceil_div(self.tile.panel)
    }

    /// A work item: all tiles of a block, each as `body` makes it.
    pub(super) fn item(
        &self,
        builder: &mut KernelBuilder,
        grid: &Grid,
        item: &Dim,
        body: &dyn Fn(&mut KernelBuilder, &Position) -> Block,
    ) -> Block {
        let coords = unflatten(item, &grid.extents());
        let (batch, blocks) = coords.split_at(grid.batch.len());
        let [outer, inner] = blocks else { return Vec::new() };
        let (row_block, column_block) = if grid.along_rows { (inner, outer) } else { (outer, inner) };
        let first_row = row_block.clone() * self.tile.block_rows.into();
        let first_panel = column_block.clone() * self.tile.block_panels.into();
        let rows = (self.loops.row_count() - first_row.clone()).minimum(self.tile.block_rows).ceil_div(self.tile.rows);
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
        let tile = body(builder, &position);
        vec![for_loop(&panel_tile, panels, LoopKind::Serial, vec![for_loop(&row_tile, rows, LoopKind::Serial, tile)])]
    }

    /// Runs `body` for each vector of a panel row; it is given the position within the tile's columns.
    pub(super) fn each_vector(&self, builder: &mut KernelBuilder, body: impl FnOnce(&mut KernelBuilder, &Dim) -> Block) -> Stmt {
        let chunks = self.tile.panel * self.tile.panels / self.tile.lanes;
        let (chunk, lane) = (builder.symbol("chunk", &chunks.into()), builder.symbol("lane", &self.tile.lanes.into()));
        let column = Dim::symbol(&chunk) * self.tile.lanes.into() + Dim::symbol(&lane);
        let inner = body(builder, &column);
        for_loop(&chunk, chunks, LoopKind::Unrolled, vec![for_loop(&lane, self.tile.lanes, ALL_LANES, inner)])
    }

    pub(super) fn sum_at(&self, row: &Dim, column: &Dim) -> Place {
        let width = Dim::constant(self.tile.panel * self.tile.panels);
        Place::Local(self.sums, row.clone() * width + column.clone())
    }

    /// Starts the sums.
    pub(super) fn clear(&self, builder: &mut KernelBuilder) -> Block {
        let row = builder.symbol("r", &self.tile.rows.into());
        let zero = Operand::float(DType::F32, 0.0);
        let store = |place| vec![Stmt::Store { place, value: zero.clone() }];
        let sums = self.each_vector(builder, |_, column| store(self.sum_at(&Dim::symbol(&row), column)));
        vec![for_loop(&row, self.tile.rows, LoopKind::Unrolled, vec![sums])]
    }

    /// The first column of a vector of a tile, or one that exists in its place.
    pub(super) fn existing_column(&self, position: &Position, first: &Dim) -> Dim {
        let panel = self.existing_panel(position.panel.clone() + first.floor_div(self.tile.panel));
        panel * self.tile.panel.into() + first.modulo(self.tile.panel)
    }

    /// The flattened row of a tile, or the last one for those that do not exist.
    pub(super) fn existing_row(&self, position: &Position, row: &Symbol) -> Dim {
        let flat = position.row.clone() + Dim::symbol(row);
        if self.ragged() { flat.minimum(self.loops.row_count() - 1.into()) } else { flat }
    }

    /// Whether tiles may reach past the last row.
    fn ragged(&self) -> bool {
        !self.loops.row_count().is_multiple_of(self.tile.rows)
    }

    pub(super) fn bind_rows<'c>(&'c self, context: Context<'c>, flat: &Dim) -> Context<'c> {
        bind(context, &self.loops.rows, flat)
    }

    pub(super) fn bind_batch<'c>(&'c self, context: Context<'c>, position: &Position) -> Context<'c> {
        bind_each(context, &self.loops.batch, &position.batch)
    }

    /// Runs `body` for each vector of the tile's columns; it is given the first column and the lane, and gives how many lanes are
    /// active.
    pub(super) fn each_chunk(
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

    /// The panel, or the last one for those of a tile that do not exist.
    pub(super) fn existing_panel(&self, panel: Dim) -> Dim {
        if self.tile.panels == 1 { panel } else { panel.minimum(self.panel_count() - 1.into()) }
    }

    pub(super) fn store(&self, builder: &mut KernelBuilder, position: &Position) -> Stmt {
        let row = builder.symbol("r", &self.tile.rows.into());
        let flat = position.row.clone() + Dim::symbol(&row);
        let context = self.bind_batch(self.bind_rows(Context::default(), &flat), position);
        let exists = self.ragged().then(|| self.loops.row_count() - 1.into() - flat);
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
                let mut context = context.clone().bind(&self.loops.column.symbol, column + Dim::symbol(&lane));
                context.reduced = Some(reduced);
                builder.store_result(&mut body, self.nest, &context);
                for_loop(&lane, lanes.clone(), LoopKind::Vector { active }, body)
            })
            .collect()
    }
}
