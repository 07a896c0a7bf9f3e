//! Sums weighted by a softmax, such as attention, in one pass over the keys (Milakov and Gimelshein, "Online normalizer
//! calculation for softmax", 2018; Dao et al., "FlashAttention", 2022).
//!
//! A work item is a tile of rows, which share keys and values. It goes through blocks of keys: scores of all rows stay in registers
//! while the sum of products runs, with lanes along the keys; they become exponentials relative to the largest score so far; values
//! weighted by these are added to sums, with lanes along the columns. Where a larger score turns up, sums and totals are scaled
//! down. Blocks that no row attends to are left out, and only blocks that not all rows attend to as a whole have conditions.

mod block;
mod groups;
mod roles;
mod shared;
mod softmax;
mod tile;

pub use roles::is_weighted;
pub(super) use roles::reads_contiguously;

use super::build::{ALL_LANES, Block, Context, KernelBuilder, bind, bind_each, extents, for_loop, unflatten};
use super::nest::Nest;
use super::threads::Workgroups;
use lostwax_ir::compute::{Axis, Body, Softmax};
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, Kernel, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use lostwax_target_api::Caps;
use roles::Roles;
use tile::Tile;

/// What the largest score starts with: below any that counts, and finite, so that differences are numbers.
const LOWEST: f64 = f32::MIN as f64 / 2.0;

/// Builds the kernel of a sum over `keys` of `value` with weights.
pub(super) fn schedule(
    name: &str,
    nest: &Nest,
    (keys, value, weight): (&[Axis], &Body, &Softmax),
    buffers: Vec<BufferDecl>,
    caps: &Caps,
) -> Kernel {
    let roles = Roles::new(nest, keys, value, weight);
    if let Some(kernel) = Workgroups::of(caps).and_then(|groups| shared::schedule(name, &roles, &buffers, &groups)) {
        return kernel;
    }
    let tile = Tile::new(&roles, caps);
    let mut builder = KernelBuilder::new(buffers);
    let emitter = Emitter { locals: Locals::new(&mut builder, &tile), roles, tile };
    let extents = emitter.grid();
    let grid = product(&extents);
    let item = builder.symbol("item", &grid);
    let body = emitter.item(&mut builder, &unflatten(&Dim::symbol(&item), &extents));
    builder.finish(name, item, grid, body)
}

/// What a tile keeps.
struct Locals {
    /// First factors of products, row by row.
    queries: LocalId,
    /// The scores of a block in registers, row by row.
    scores: LocalId,
    /// The second factors of products.
    keys: LocalId,
    /// The exponentials of a block, row by row.
    exponentials: LocalId,
    /// The largest score of each row so far.
    maxima: LocalId,
    /// The same with the current block.
    largest: LocalId,
    /// What sums so far are scaled by, row by row.
    factors: LocalId,
    /// Sums of exponentials, a vector for each row.
    totals: LocalId,
    /// Sums of weighted values, row by row.
    sums: LocalId,
    /// A part of the sums in registers.
    partial: LocalId,
    /// The values of one key.
    values: LocalId,
    /// A vector that is brought down to one lane.
    lanes: LocalId,
}

impl Locals {
    fn new(builder: &mut KernelBuilder, tile: &Tile) -> Self {
        let (rows, row_lanes) = (tile.rows, tile.row_lanes());
        let chunk = tile.column_vectors * tile.lanes;
        let mut memory = |name: &str, len: i64| builder.memory(name, DType::F32, len as u32);
        let queries = memory("queries", rows * tile.depth.unwrap_or(1));
        let (exponentials, sums) = (memory("powers", rows * tile.keys()), memory("sums", rows * tile.columns));
        let (maxima, factors) = (memory("maxima", row_lanes), memory("factors", row_lanes));
        let totals = memory("totals", rows * tile.lanes);
        let mut registers = |name: &str, len: i64| builder.local(name, DType::F32, len as u32);
        Self {
            queries,
            exponentials,
            sums,
            maxima,
            factors,
            totals,
            scores: registers("scores", rows * tile.keys()),
            keys: registers("keys", tile.keys()),
            largest: registers("largest", row_lanes),
            partial: registers("partial", rows * chunk),
            values: registers("values", chunk),
            lanes: registers("lanes", tile.lanes),
        }
    }
}

struct Emitter<'a> {
    roles: Roles<'a>,
    tile: Tile,
    locals: Locals,
}

/// Where a tile lies.
struct Position<'c> {
    /// The coordinates of the batch loops.
    context: Context<'c>,
    /// The first row.
    row: Dim,
    /// The first column.
    column: Dim,
}

fn float(value: f64) -> Operand {
    Operand::float(DType::F32, value)
}

impl<'a> Emitter<'a> {
    /// Work items along each direction: batch, rows, columns.
    fn grid(&self) -> Vec<Dim> {
        let rows = self.roles.row_count().ceil_div(self.tile.rows);
        let columns = self.roles.column_count().ceil_div(self.tile.columns);
        extents(&self.roles.batch).into_iter().chain([rows, columns]).collect()
    }

    fn item(&self, builder: &mut KernelBuilder, coords: &[Dim]) -> Block {
        let (batch, [row, column]) = coords.split_at(self.roles.batch.len()) else { return Vec::new() };
        let position = Position {
            context: bind_each(Context::default(), &self.roles.batch, batch),
            row: row.clone() * self.tile.rows.into(),
            column: column.clone() * self.tile.columns.into(),
        };
        let mut block = self.start(builder, &position);
        block.push(self.blocks(builder, &position));
        block.push(self.store(builder, &position));
        block
    }

    /// A row of the tile, or the last one for those that do not exist.
    fn row(&self, position: &Position<'_>, row: &Dim) -> Dim {
        let flat = position.row.clone() + row.clone();
        let last = self.roles.row_count() - 1.into();
        if self.roles.row_count().is_multiple_of(self.tile.rows) { flat } else { flat.minimum(last) }
    }

    fn row_context<'c>(&'c self, position: &Position<'c>, row: &Dim) -> Context<'c> {
        bind(position.context.clone(), &self.roles.rows, &self.row(position, row))
    }

    fn start(&self, builder: &mut KernelBuilder, position: &Position<'_>) -> Block {
        let (tile, locals) = (&self.tile, &self.locals);
        let mut block: Block = self.load_queries(builder, position).into_iter().collect();
        block.push(fill(builder, locals.maxima, tile.row_lanes(), tile.row_lanes(), LOWEST, LoopKind::Serial));
        block.push(fill(builder, locals.totals, tile.rows * tile.lanes, tile.lanes, 0.0, LoopKind::Serial));
        block.push(fill(builder, locals.sums, tile.rows * tile.columns, tile.lanes, 0.0, LoopKind::Serial));
        if !self.roles.column_count().is_multiple_of(tile.columns) {
            block.push(fill(builder, locals.values, tile.column_vectors * tile.lanes, tile.lanes, 0.0, LoopKind::Unrolled));
        }
        block
    }

    /// Copies the first factors of products.
    fn load_queries(&self, builder: &mut KernelBuilder, position: &Position<'_>) -> Option<Stmt> {
        let (depth, lanes) = (self.tile.depth?, self.tile.lanes);
        let row = builder.symbol("r", &self.tile.rows.into());
        let context = self.row_context(position, &Dim::symbol(&row));
        let (vectors, rest) = (depth / lanes, depth % lanes);
        let vector = builder.symbol("v", &vectors.into());
        let mut copy = |start: Dim, kind: LoopKind| {
            let lane = builder.symbol("lane", &lanes.into());
            let at = start + Dim::symbol(&lane);
            let mut body = Vec::new();
            let context = bind(context.clone(), &self.roles.weight.axes, &at);
            let value = builder.expand(&mut body, &self.roles.weight.left, &context);
            let place = Place::Local(self.locals.queries, Dim::symbol(&row) * depth.into() + at);
            body.push(Stmt::Store { place, value });
            for_loop(&lane, lanes, kind, body)
        };
        let whole = copy(Dim::symbol(&vector) * lanes.into(), ALL_LANES);
        let mut body = vec![for_loop(&vector, vectors, LoopKind::Serial, vec![whole])];
        if rest > 0 {
            body.push(copy(Dim::constant(vectors * lanes), LoopKind::Vector { active: Some(rest.into()) }));
        }
        Some(for_loop(&row, self.tile.rows, LoopKind::Serial, body))
    }

    /// Runs `body` for all columns of the tile, some vectors at a time; it is given the first column within the tile and the
    /// number of vectors.
    fn each_chunk(&self, builder: &mut KernelBuilder, mut body: impl FnMut(&mut KernelBuilder, &Dim, i64) -> Block) -> Block {
        let Tile { lanes, columns, column_vectors, .. } = self.tile;
        let vectors = columns / lanes;
        let (whole, rest) = (vectors / column_vectors, vectors % column_vectors);
        let chunk = builder.symbol("chunk", &whole.into());
        let inner = body(builder, &(Dim::symbol(&chunk) * Dim::constant(column_vectors * lanes)), column_vectors);
        let mut block = vec![for_loop(&chunk, whole, LoopKind::Serial, inner)];
        if rest > 0 {
            block.extend(body(builder, &Dim::constant(whole * column_vectors * lanes), rest));
        }
        block
    }

    /// A vector loop over columns from `start` within the tile on.
    fn columns(
        &self,
        builder: &mut KernelBuilder,
        position: &Position<'_>,
        start: &Dim,
        body: impl FnOnce(&mut KernelBuilder, &Dim, &Dim) -> Block,
    ) -> Stmt {
        let lane = builder.symbol("lane", &self.tile.lanes.into());
        let within = start.clone() + Dim::symbol(&lane);
        let remaining = self.roles.column_count() - position.column.clone() - start.clone();
        let partial = remaining.bounds().0 < self.tile.lanes;
        let active = partial.then(|| remaining.minimum(self.tile.lanes).maximum(0));
        let inner = body(builder, &within, &(position.column.clone() + within.clone()));
        for_loop(&lane, self.tile.lanes, LoopKind::Vector { active }, inner)
    }

    /// Divides the sums by the totals and stores the results.
    fn store(&self, builder: &mut KernelBuilder, position: &Position<'_>) -> Stmt {
        let row = builder.symbol("r", &self.tile.rows.into());
        let flat = position.row.clone() + Dim::symbol(&row);
        let rows = (self.roles.row_count() - position.row.clone()).minimum(self.tile.rows);
        let context = bind(position.context.clone(), &self.roles.rows, &flat);
        let mut body = self.total(builder, &Dim::symbol(&row));
        let total = builder.define(&mut body, Scalar::Load(Place::Local(self.locals.lanes, Dim::default())));
        let inverse = builder.define(&mut body, Scalar::Unary(UnaryOp::Recip, total));
        body.extend(self.each_chunk(builder, |builder, start, vectors| {
            let vector = |at: i64| {
                let start = start.clone() + Dim::constant(at * self.tile.lanes);
                self.columns(builder, position, &start, |builder, within, column| {
                    let sum = self.sum_at(&Dim::symbol(&row), within);
                    self.store_vector(builder, bind(context.clone(), &self.roles.columns, column), sum, &inverse)
                })
            };
            (0..vectors).map(vector).collect()
        }));
        for_loop(&row, rows, LoopKind::Serial, body)
    }

    fn store_vector(&self, builder: &mut KernelBuilder, mut context: Context<'_>, sum: Place, inverse: &Operand) -> Block {
        let mut body = Vec::new();
        let sum = builder.define(&mut body, Scalar::Load(sum));
        context.reduced = Some(builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, sum, inverse.clone())));
        builder.store_result(&mut body, self.roles.nest, &context);
        body
    }

    fn sum_at(&self, row: &Dim, column: &Dim) -> Place {
        Place::Local(self.locals.sums, row.clone() * self.tile.columns.into() + column.clone())
    }
}

/// Sets `count` elements of a local, a multiple of the lanes.
fn fill(builder: &mut KernelBuilder, local: LocalId, count: i64, lanes: i64, value: f64, kind: LoopKind) -> Stmt {
    let (vector, lane) = (builder.symbol("v", &(count / lanes).into()), builder.symbol("lane", &lanes.into()));
    let place = Place::Local(local, Dim::symbol(&vector) * lanes.into() + Dim::symbol(&lane));
    let body = vec![for_loop(&lane, lanes, ALL_LANES, vec![Stmt::Store { place, value: float(value) }])];
    for_loop(&vector, count / lanes, kind, body)
}
