//! Schedules for workgroups of several threads.
//!
//! Contractions of many rows are cut into blocks, whose factors the threads bring into shared memory step by step (`staged`, and
//! `staged_block_scaled` where terms are computed from rows and columns together); long reductions of few elements are cut along the
//! reduction, a part for each thread (`split`). What is neither runs as on machines whose workgroups have no threads.

mod shape;
mod split;
mod staged;
mod staged_block_scaled;

use super::build::{Block, Context, KernelBuilder, bind, bind_each, extents, for_loop};
use super::contraction::{Loops, Roles};
use super::nest::Nest;
use super::{Argument, Scheduled};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, Cond, LoopKind, Operand, Stmt};
use lostwax_target_api::{Caps, MemoryKind};

/// What the workgroups of a machine have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workgroups {
    /// The maximum number of threads of one.
    pub(super) threads: i64,
    /// Bytes of memory that its threads share.
    pub(super) scratch_bytes: i64,
    /// How many should at least exist for the machine to be busy.
    pub(super) count: i64,
    /// Threads that read as one.
    pub(super) coalesced: i64,
}

impl Workgroups {
    /// Those of a machine; `None` if it has none.
    pub(super) fn of(caps: &Caps) -> Option<Self> {
        let groups = caps.workgroups?;
        Some(Self {
            threads: groups.threads.into(),
            scratch_bytes: i64::try_from(caps.memory_bytes(MemoryKind::Workgroup)).unwrap_or(i64::MAX),
            count: groups.count.into(),
            coalesced: groups.coalesced.into(),
        })
    }
}

/// Builds the kernel of a contraction, if sharing its work among the threads of workgroups pays.
pub(super) fn contract(
    name: &str,
    nest: &Nest,
    roles: &Roles,
    inputs: &[Argument],
    buffers: &[BufferDecl],
    caps: &Workgroups,
) -> Option<Scheduled> {
    staged::schedule(name, nest, roles, inputs, buffers, caps)
        .or_else(|| split::contract(name, nest, roles, inputs, buffers, caps))
}

pub(super) use split::reduce;
pub(super) use staged_block_scaled::schedule as contract_block_scaled;

/// A loop of threads.
pub(super) fn each_thread(builder: &mut KernelBuilder, count: i64, body: impl FnOnce(&mut KernelBuilder, &Dim) -> Block) -> Stmt {
    let thread = builder.symbol("thread", &count.into());
    let body = body(builder, &Dim::symbol(&thread));
    for_loop(&thread, count, LoopKind::Threads, body)
}

/// The first row and column of a block of a contraction's output.
struct BlockStart<'a> {
    loops: &'a Loops,
    batch: Vec<Dim>,
    row: Dim,
    column: Dim,
}

impl<'a> BlockStart<'a> {
    /// The number of workgroups along each direction (batch, rows, columns) for blocks of `rows` by `columns`.
    fn grid(loops: &Loops, rows: i64, columns: i64) -> Vec<Dim> {
        let blocks = [loops.row_count().ceil_div(rows), loops.column.extent.ceil_div(columns)];
        extents(&loops.batch).into_iter().chain(blocks).collect()
    }

    /// The start of the block of the workgroup at these coordinates of the grid.
    fn new(loops: &'a Loops, mut coords: Vec<Dim>, rows: i64, columns: i64) -> Self {
        let (column, row) = (coords.pop().unwrap_or_default(), coords.pop().unwrap_or_default());
        Self { loops, batch: coords, row: row * rows.into(), column: column * columns.into() }
    }

    /// The batch loops, bound.
    fn context(&self) -> Context<'a> {
        bind_each(Context::default(), &self.loops.batch, &self.batch)
    }

    /// When a row and column of the block exist.
    fn has(&self, row: &Dim, column: &Dim) -> Cond {
        let left = |extent: Dim, start: &Dim, at: &Dim| extent - 1.into() - start.clone() - at.clone();
        let loops = self.loops;
        Cond(vec![left(loops.row_count(), &self.row, row), left(loops.column.extent.clone(), &self.column, column)]).simplify()
    }

    /// Stores the sum of a row and column of the block; gives the condition under which they exist, too.
    fn store(&self, builder: &mut KernelBuilder, nest: &Nest, (row, column): (&Dim, &Dim), sum: Operand) -> (Cond, Block) {
        let exists = self.has(row, column);
        let (row, column) = (self.row.clone() + row.clone(), self.column.clone() + column.clone());
        let mut context = bind(self.context(), &self.loops.rows, &row).bind(&self.loops.column.symbol, column);
        context.reduced = Some(sum);
        let mut block = Vec::new();
        builder.store_result(&mut block, nest, &context);
        (exists, block)
    }
}

/// A loop over the lanes of a vector, or one of another kind.
fn lanes(builder: &mut KernelBuilder, count: i64, kind: LoopKind, body: impl FnOnce(&mut KernelBuilder, &Dim) -> Block) -> Stmt {
    let lane = builder.symbol("lane", &count.into());
    let body = body(builder, &Dim::symbol(&lane));
    for_loop(&lane, count, kind, body)
}

/// A loop that is expanded.
pub(super) fn unrolled(builder: &mut KernelBuilder, count: i64, body: impl FnOnce(&mut KernelBuilder, &Symbol) -> Block) -> Stmt {
    let symbol = builder.symbol("u", &count.into());
    let body = body(builder, &symbol);
    for_loop(&symbol, count, LoopKind::Unrolled, body)
}
