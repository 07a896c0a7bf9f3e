//! Sums of products: matrix products and convolutions of any dimension as one register-blocked loop nest.
//!
//! The output is cut into tiles of `rows x columns` that stay in registers while the sum runs. A row is one iteration of the
//! loops that only the first factor (and perhaps the output) depends on, flattened; columns are the loop that only the second
//! factor depends on. The first factor is read through guarded row addresses, so that padding and ragged edges need no
//! second loop; the second is rearranged at compile time into panels of columns when it is constant.

use super::build::{ALL_LANES, Block, Context, KernelBuilder, for_loop, unflatten, when};
use super::nest::{Nest, NestReduction};
use super::{Argument, Packing, Scheduled, representative};
use lostwax_ir::compute::{Axis, Step, StepId};
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::{BufferDecl, BufferId, Cond, LocalId, LoopKind, Operand, Place, RowId, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, ReduceOp};
use lostwax_ir::types::DType;
use lostwax_target_api::Caps;

/// The roles of the loops and factors of a contraction.
#[derive(Clone, Debug)]
pub(super) struct Roles {
    /// Loops that both factors depend on, or that only address the output further.
    batch: Vec<Axis>,
    /// Loops that the first factor depends on.
    rows: Vec<Axis>,
    /// The loop that the second factor depends on.
    column: Axis,
    /// The reduced loops but the innermost.
    taps: Vec<Axis>,
    /// The innermost reduced loop.
    depth: Axis,
    /// The first factor: buffer, index, condition.
    left: (u32, Dim, Cond),
    /// The second factor: buffer and index.
    right: (u32, Dim),
}

/// Columns below this are not worth a tile: such sums run along the depth instead.
const MIN_COLUMNS: i64 = 4;

/// Whether the nest is a sum of products that the tiles of this schedule fit.
pub fn is_contraction(nest: &Nest) -> bool {
    roles(nest).is_some()
}

/// Whether the contraction reads its first factor along the depth, and its second along the columns, as neighbours.
pub fn reads_contiguously(nest: &Nest) -> bool {
    roles(nest).is_some_and(|roles| {
        let depth = roles.left.1.affine_in(&roles.depth.symbol).is_some_and(|(stride, _)| stride.is(1));
        depth && roles.right_stride().is(1)
    })
}

/// Whether the nest is a contraction whose first factor is guarded and whose innermost loop is so short that explicit padding,
/// after which loops merge, costs less than the guards.
pub fn wants_unpadded(nest: &Nest) -> bool {
    const SHORT: i64 = 8;
    roles(nest).is_some_and(|roles| !roles.left.2.always() && roles.depth.extent.as_constant().is_some_and(|k| k <= SHORT))
}

/// The roles of the nest's loops, if it is a contraction that can be scheduled with these arguments.
pub(super) fn analyze(nest: &Nest, inputs: &[Argument]) -> Option<Roles> {
    let roles = roles(nest)?;
    let constant = inputs.get(roles.right.0 as usize)?.constant;
    let packable = constant && roles.right_loops().iter().all(|axis| axis.extent.as_constant().is_some());
    (packable || roles.right_stride().is(1)).then_some(roles)
}

fn roles(nest: &Nest) -> Option<Roles> {
    let reduction = nest.reduction.as_ref()?;
    let [left, right] = factors(reduction)?;
    assign(nest, reduction, left.clone(), right.clone()).or_else(|| assign(nest, reduction, right, left))
}

type Factor = (u32, Dim, Cond);

fn factors(reduction: &NestReduction) -> Option<[Factor; 2]> {
    let [a, b, Step::Binary(BinaryOp::Mul, StepId(0), StepId(1))] = reduction.value.steps.as_slice() else { return None };
    if reduction.op != ReduceOp::Sum || reduction.dtype != DType::F32 {
        return None;
    }
    Some([factor(a)?, factor(b)?])
}

fn factor(step: &Step) -> Option<Factor> {
    match step {
        Step::Load { input, coords, valid, otherwise: 0 } => Some((*input, coords.first()?.clone(), valid.clone())),
        _ => None,
    }
}

fn mentions(factor: &Factor, symbol: &Symbol) -> bool {
    factor.1.mentions(symbol) || factor.2.0.iter().any(|part| part.mentions(symbol))
}

fn assign(nest: &Nest, reduction: &NestReduction, left: Factor, right: Factor) -> Option<Roles> {
    let only_right = |axis: &&Axis| mentions(&right, &axis.symbol) && !mentions(&left, &axis.symbol);
    let contiguous = |axis: &&Axis| nest.index.affine_in(&axis.symbol).is_some_and(|(stride, _)| stride.is(1));
    let column = nest.axes.iter().filter(only_right).find(contiguous)?.clone();
    let (depth, taps) = reduction.axes.split_last()?;
    let fits = representative(&column.extent) >= MIN_COLUMNS
        && right.2.always()
        && column_stride(&right, &column).is_some()
        && left.1.affine_in(&depth.symbol).is_some_and(|(stride, _)| stride.as_constant().is_some_and(|s| s > 0))
        && left.2.0.iter().all(|part| !part.mentions(&depth.symbol))
        && (left.2.always() || depth.extent.as_constant().is_some());
    let is_row = |axis: &&Axis| mentions(&left, &axis.symbol) && !mentions(&right, &axis.symbol);
    let rows: Vec<Axis> = nest.axes.iter().filter(is_row).cloned().collect();
    let batch = nest.axes.iter().filter(|axis| **axis != column && !rows.contains(axis)).cloned().collect();
    fits.then(|| Roles { batch, rows, column, taps: taps.to_vec(), depth: depth.clone(), left, right: (right.0, right.1) })
}

fn column_stride(right: &Factor, column: &Axis) -> Option<Dim> {
    right.1.affine_in(&column.symbol).map(|(stride, _)| stride)
}

impl Roles {
    fn right_loops(&self) -> Vec<Axis> {
        let used = |axis: &&Axis| self.right.1.mentions(&axis.symbol);
        self.batch.iter().chain(&self.taps).chain([&self.depth, &self.column]).filter(used).cloned().collect()
    }

    fn right_stride(&self) -> Dim {
        self.right.1.affine_in(&self.column.symbol).map_or_else(Dim::default, |(stride, _)| stride)
    }

    /// The rows of the output.
    fn row_count(&self) -> Dim {
        product(self.rows.iter().map(|axis| &axis.extent))
    }
}

/// The sizes of tiles and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    /// Lanes of one vector statement.
    lanes: i64,
    /// Columns of one panel of the second factor.
    panel: i64,
    /// Rows of one tile.
    rows: i64,
    /// Panels of one tile.
    panels: i64,
    /// Rows of one block, a multiple of the tile's; one block's part of the first factor stays in cache.
    block_rows: i64,
    /// Panels of one block, a multiple of the tile's.
    block_panels: i64,
}

/// Panel widths with the relative time that a column of them takes.
const PANELS: [(i64, f64); 3] = [(16, 1.0), (24, 1.03), (8, 1.15)];

fn choose_panel(columns: i64) -> i64 {
    let time = |(width, weight): &(i64, f64)| ((columns + width - 1) / width * width) as f64 * weight;
    let best = PANELS.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
    best.map_or(16, |(width, _)| *width)
}

/// The tile height that covers `rows` with the least time, at most `limit`: short tiles load more per product.
fn choose_rows(rows: i64, limit: i64) -> i64 {
    const TILE_OVERHEAD: i64 = 1;
    let time = |height: i64| (rows + height - 1) / height * (height + TILE_OVERHEAD);
    (1..=limit).rev().min_by_key(|height| time(*height)).unwrap_or(1)
}

/// Rows of one tile whose addresses stay in scalar registers.
const ADDRESSED_ROWS: i64 = 6;

fn choose_tile(roles: &Roles, caps: &Caps) -> Tile {
    let panel = choose_panel(representative(&roles.column.extent));
    let lanes = if panel % 16 == 0 { 16 } else { 8 };
    let registers_per_panel = (panel * 4 / i64::from(caps.vector_bytes)).max(1);
    let budget = i64::from(caps.vector_registers) * 3 / 4;
    let count = representative(&roles.row_count()).max(1);
    let limit = (budget / registers_per_panel).max(1);
    let panel_count = ((representative(&roles.column.extent) + panel - 1) / panel).max(1);
    let rows = choose_rows(count, limit.min(ADDRESSED_ROWS));
    let panels = (budget / (rows * registers_per_panel)).clamp(1, panel_count);
    let (block_rows, block_panels) = choose_blocks(roles, caps, count, panel_count, (rows, panels));
    Tile { lanes, panel, rows, panels, block_rows, block_panels }
}

/// Blocks small enough for the second-level cache, and enough of them for all cores.
fn choose_blocks(roles: &Roles, caps: &Caps, rows: i64, panels: i64, tile: (i64, i64)) -> (i64, i64) {
    let depth = representative(&roles.depth.extent).max(1);
    let cached = (caps.l2_bytes as i64 / 2 / (depth * 4)).max(tile.0);
    let batch: i64 = roles.batch.iter().map(|axis| representative(&axis.extent)).product();
    let wanted = (i64::from(caps.parallelism) * 4 / batch.max(1)).max(1);
    let round = |value: i64, step: i64| ((value + step - 1) / step * step).max(step);
    let shared = (rows + wanted - 1) / wanted;
    let block_rows = round(cached.min(shared.max(tile.0 * 8)).min(rows), tile.0);
    let row_blocks = (rows + block_rows - 1) / block_rows;
    let column_blocks = ((wanted + row_blocks - 1) / row_blocks).clamp(1, panels);
    (block_rows, round((panels + column_blocks - 1) / column_blocks, tile.1))
}

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
    let constant = inputs.get(roles.right.0 as usize).is_some_and(|input| input.constant);
    let packed = constant.then(|| pack(roles, tile.panel));
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
fn pack(roles: &Roles, panel: i64) -> (Packing, Dim) {
    let columns = roles.column.extent.clone();
    let (panel_axis, lane_axis) = (Axis::new("%panel", &columns.ceil_div(panel)), Axis::new("%lane", &panel.into()));
    let mut loops: Vec<Axis> = roles.right_loops().into_iter().filter(|axis| *axis != roles.column).collect();
    let first_reduced = loops.iter().position(|axis| roles.taps.contains(axis) || *axis == roles.depth).unwrap_or(loops.len());
    loops.insert(first_reduced, panel_axis.clone());
    loops.push(lane_axis.clone());
    let column = panel_axis.dim() * panel.into() + lane_axis.dim();
    let index = roles.right.1.replace(&roles.column.symbol, &column);
    let position = loops.iter().fold(Dim::default(), |flat, axis| flat * axis.extent.clone() + axis.dim());
    let valid = columns - 1.into() - column;
    (Packing { input: roles.right.0 as usize, loops, index, valid }, position)
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
        self.packed.is_none() && !self.columns().is_multiple_of(self.tile.panel * self.tile.panels)
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
        let depth = builder.symbol("k", &self.roles.depth.extent);
        let context = context.clone().bind(&self.roles.depth.symbol, Dim::symbol(&depth));
        let mut body = self.load_weights(builder, position, &context);
        body.push(self.multiply(builder, &(Dim::symbol(&depth) * self.depth_stride.clone())));
        for_loop(&depth, self.roles.depth.extent.clone(), LoopKind::Serial, body)
    }

    fn load_weights(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Block {
        let lanes = Dim::constant(self.tile.lanes);
        (0..self.tile.panel * self.tile.panels / self.tile.lanes)
            .map(|chunk| {
                let first = Dim::constant(chunk * self.tile.lanes);
                let lane = builder.symbol("lane", &lanes);
                let (index, active) = self.weight_index(position, context, &first, &Dim::symbol(&lane));
                let mut body = Vec::new();
                let value = builder.define(&mut body, Scalar::Load(Place::Buffer(BufferId(self.roles.right.0), index)));
                body.push(Stmt::Store { place: Place::Local(self.weights, first + Dim::symbol(&lane)), value });
                for_loop(&lane, lanes.clone(), LoopKind::Vector { active }, body)
            })
            .collect()
    }

    /// The buffer index of a weight, and how many lanes may be read.
    fn weight_index(&self, position: &Position, context: &Context<'_>, first: &Dim, lane: &Dim) -> (Dim, Option<Dim>) {
        let panel = position.panel.clone() + first.floor_div(self.tile.panel);
        let within = first.modulo(self.tile.panel) + lane.clone();
        if let Some(packed) = &self.packed {
            let panel = if self.tile.panels == 1 { panel } else { panel.minimum(self.panel_count() - 1.into()) };
            let index = packed.substitute(&|symbol| match symbol.name() {
                "%panel" => Some(panel.clone()),
                "%lane" => Some(within.clone()),
                _ => None,
            });
            return (context.dim(&index), None);
        }
        let start = panel * self.tile.panel.into() + first.modulo(self.tile.panel);
        let index = self.roles.right.1.replace(&self.roles.column.symbol, &(start.clone() + lane.clone()));
        let active = self.loads_partly().then(|| (self.columns() - start).minimum(self.tile.lanes).maximum(0));
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
                let active = partial.then(|| (self.columns() - column.clone()).minimum(self.tile.lanes).maximum(0));
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
