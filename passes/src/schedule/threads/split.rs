//! Reductions that are split among threads.
//!
//! A work item is a few elements of the output. For each of them, some threads each reduce every so-manieth step, and then all
//! reduce together what they found. Threads that follow each other take what lies side by side in memory: steps of one
//! element, or one step of neighbouring elements.

use super::{Corner, each_thread, unrolled};
use crate::schedule::build::{Block, Context, KernelBuilder, bind, for_loop, unflatten, when};
use crate::schedule::contraction::{Roles, SecondFactor};
use crate::schedule::nest::{Nest, NestReduction};
use crate::schedule::reduce::{accumulate, identity};
use crate::schedule::{Argument, Scheduled, representative};
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::{BufferDecl, Cond, Kernel, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::ReduceOp;
use lostwax_ir::types::DType;
use lostwax_target_api::ThreadCaps;

/// Reductions of fewer steps than this are not split.
const FEWEST_STEPS: i64 = 32;

/// Steps that each thread should take at least.
const STEPS_PER_THREAD: i64 = 4;

/// Threads that a work item should have at least.
const FEWEST_THREADS: i64 = 64;

/// Rows of a contraction that share what is read of its second factor, at most.
const MOST_ROWS: i64 = 8;

/// How the threads of a work item divide its work.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// Elements side by side.
    columns: i64,
    /// Threads for each column.
    slices: i64,
    /// Elements that each column has in the same threads.
    rows: i64,
    /// Whether threads that follow each other have columns that do, rather than steps.
    along_columns: bool,
}

impl Split {
    fn threads(&self) -> i64 {
        self.columns * self.slices
    }

    /// The slice and the column of a thread.
    fn place(&self, thread: &Dim) -> (Dim, Dim) {
        match self.along_columns {
            true => (thread.floor_div(self.columns), thread.modulo(self.columns)),
            false => (thread.modulo(self.slices), thread.floor_div(self.slices)),
        }
    }
}

/// The largest power of two that is at most `value`, within limits that are powers of two.
fn power_of_two(value: i64, low: i64, high: i64) -> i64 {
    let power = 1 << (63 - value.max(1).leading_zeros());
    i64::clamp(power, low, high.max(low))
}

/// Builds the kernel of a reduction, if it has the size for it. With `along_columns`, neighbouring elements of the output read
/// neighbours; otherwise, neighbouring steps do.
pub(in crate::schedule) fn reduce(
    name: &str,
    nest: &Nest,
    reduction: &NestReduction,
    buffers: &[BufferDecl],
    caps: &ThreadCaps,
    along_columns: bool,
) -> Option<Kernel> {
    let steps = product(reduction.axes.iter().map(|axis| &axis.extent));
    let typical = representative(&steps);
    let most = i64::from(caps.most);
    let columns = if along_columns { i64::from(caps.coalesced) } else { 1 };
    let slices = power_of_two(typical / STEPS_PER_THREAD, 1, most / columns);
    let columns = columns.max(FEWEST_THREADS / slices);
    let split = Split { columns, slices, rows: 1, along_columns };
    let worth = typical >= FEWEST_STEPS && slices > 1;
    worth.then(|| {
        let mut builder = KernelBuilder::new(buffers.to_vec());
        let count = product(nest.axes.iter().map(|axis| &axis.extent));
        let grid = count.ceil_div(split.columns);
        let item = builder.symbol("item", &grid);
        let engine = Engine::new(&mut builder, split, reduction.op, reduction.dtype);
        let first = Dim::symbol(&item) * split.columns.into();
        let of_column = |column: &Dim| {
            let flat = first.clone() + column.clone();
            let exists = Cond(vec![count.clone() - 1.into() - flat.clone()]).simplify();
            (bind(Context::default(), &nest.axes, &flat), exists)
        };
        let partial = |builder: &mut KernelBuilder, column: &Dim, step: Dim| {
            let (context, exists) = of_column(column);
            let context = bind(context, &reduction.axes, &step);
            let mut body = Vec::new();
            accumulate(builder, &mut body, reduction, &context, &engine.own(0));
            when(exists, body)
        };
        let store = |builder: &mut KernelBuilder, _: &Dim, column: &Dim, reduced: Operand| {
            let (mut context, exists) = of_column(column);
            context.reduced = Some(reduced);
            let mut block = Vec::new();
            builder.store_result(&mut block, nest, &context);
            (exists, block)
        };
        let body = engine.item(&mut builder, &steps, &partial, &store);
        builder.finish(name, item, grid, body)
    })
}

/// Builds the kernel of a contraction of few rows, if it has the size for it.
pub(super) fn contract(
    name: &str,
    nest: &Nest,
    roles: &Roles,
    inputs: &[Argument],
    buffers: &[BufferDecl],
    caps: &ThreadCaps,
) -> Option<Scheduled> {
    let (second, packing) = SecondFactor::new(roles, inputs);
    let chunk = second.period();
    let reduced: Vec<Axis> = roles.loops.reduced().cloned().collect();
    let steps = product(reduced.iter().map(|axis| &axis.extent));
    let chunks = steps.floor_div(chunk);
    let typical = representative(&steps);
    let columns = i64::from(caps.coalesced);
    let slices = power_of_two(typical / (STEPS_PER_THREAD * chunk.max(1)), 1, i64::from(caps.most) / columns);
    let rows = representative(&roles.loops.row_count()).clamp(1, MOST_ROWS);
    if typical < FEWEST_STEPS || slices < 2 {
        return None;
    }
    let split = Split { columns, slices, rows, along_columns: true };
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let grid = Corner::grid(&roles.loops, rows, columns);
    let item = builder.symbol("item", &product(&grid));
    let engine = Engine::new(&mut builder, split, ReduceOp::Sum, DType::F32);
    let product_of = Products { roles, second: &second, reduced: &reduced, engine: &engine, chunk };
    let corner = Corner::new(&roles.loops, unflatten(&Dim::symbol(&item), &grid), rows, columns);
    let partial = |builder: &mut KernelBuilder, column: &Dim, step: Dim| product_of.add(builder, &corner, column, &step);
    let store =
        |builder: &mut KernelBuilder, row: &Dim, column: &Dim, sum: Operand| corner.store(builder, nest, (row, column), sum);
    let body = engine.item(&mut builder, &chunks, &partial, &store);
    Some(Scheduled { kernel: builder.finish(name, item, product(&grid), body), packing, slow: None })
}

/// What threads do to reduce together.
struct Engine {
    split: Split,
    op: ReduceOp,
    dtype: DType,
    /// What a thread found, for each row.
    partial: LocalId,
    /// `[rows, slices, columns]`
    shared: LocalId,
}

/// Appends what a step adds for a column.
type Partial<'a> = dyn Fn(&mut KernelBuilder, &Dim, Dim) -> Block + 'a;

/// Stores the result of a row and column; gives the condition under which it exists.
type Store<'a> = dyn Fn(&mut KernelBuilder, &Dim, &Dim, Operand) -> (Cond, Block) + 'a;

impl Engine {
    fn new(builder: &mut KernelBuilder, split: Split, op: ReduceOp, dtype: DType) -> Self {
        let partial = builder.local("partial", dtype, split.rows as u32);
        let shared = builder.shared("found", dtype, (split.rows * split.threads()) as u32);
        Self { split, op, dtype, partial, shared }
    }

    /// What the thread at hand found for a row.
    fn own(&self, row: i64) -> Place {
        Place::Local(self.partial, row.into())
    }

    fn found(&self, row: &Dim, slice: &Dim, column: &Dim) -> Place {
        let row_start = row.clone() * self.split.slices.into();
        Place::Local(self.shared, (row_start + slice.clone()) * self.split.columns.into() + column.clone())
    }

    fn item(&self, builder: &mut KernelBuilder, steps: &Dim, partial: &Partial<'_>, store: &Store<'_>) -> Block {
        let threads = self.split.threads();
        let mut block = vec![each_thread(builder, threads, |builder, thread| self.reduce_slice(builder, thread, steps, partial))];
        block.push(Stmt::Reduce { op: self.op, local: self.shared, stride: self.split.columns as u32 });
        block.push(each_thread(builder, threads, |builder, thread| self.store(builder, thread, store)));
        block
    }

    /// Every so-manieth step of a column, put into shared memory.
    fn reduce_slice(&self, builder: &mut KernelBuilder, thread: &Dim, steps: &Dim, partial: &Partial<'_>) -> Block {
        let (slice, column) = self.split.place(thread);
        let mut block: Block =
            (0..self.split.rows).map(|row| Stmt::Store { place: self.own(row), value: identity(self.op, self.dtype) }).collect();
        let rounds = steps.ceil_div(self.split.slices);
        let round = builder.symbol("round", &rounds);
        let step = Dim::symbol(&round) * self.split.slices.into() + slice.clone();
        let exists = Cond(vec![steps.clone() - 1.into() - step.clone()]).simplify();
        let body = partial(builder, &column, step);
        block.push(for_loop(&round, rounds, LoopKind::Serial, when(exists, body)));
        for row in 0..self.split.rows {
            let value = builder.define(&mut block, Scalar::Load(self.own(row)));
            block.push(Stmt::Store { place: self.found(&row.into(), &slice, &column), value });
        }
        block
    }

    /// Stores the results, the rows divided among the slices.
    fn store(&self, builder: &mut KernelBuilder, thread: &Dim, store: &Store<'_>) -> Block {
        let (slice, column) = self.split.place(thread);
        let rounds = (self.split.rows + self.split.slices - 1) / self.split.slices;
        let rows = |builder: &mut KernelBuilder, round: &Symbol| {
            let row = Dim::symbol(round) * self.split.slices.into() + slice.clone();
            let mut body = Vec::new();
            let reduced = builder.define(&mut body, Scalar::Load(self.found(&row, &Dim::default(), &column)));
            let (exists, stores) = store(builder, &row, &column, reduced);
            body.extend(when(exists, stores));
            when(Cond(vec![Dim::constant(self.split.rows - 1) - row]).simplify(), body)
        };
        vec![unrolled(builder, rounds, rows)]
    }
}

/// The products that a contraction sums up.
struct Products<'a> {
    roles: &'a Roles,
    second: &'a SecondFactor<'a>,
    reduced: &'a [Axis],
    engine: &'a Engine,
    /// Steps along the depth that belong together.
    chunk: i64,
}

impl Products<'_> {
    /// Adds the products of a chunk to the sums of all rows.
    fn add(&self, builder: &mut KernelBuilder, corner: &Corner<'_>, column: &Dim, chunk: &Dim) -> Block {
        let last = self.roles.loops.column.extent.clone() - 1.into();
        let column = (corner.column.clone() + column.clone()).minimum(last);
        vec![unrolled(builder, self.chunk, |builder, within| {
            let step = chunk.clone() * self.chunk.into() + Dim::symbol(within);
            let context = bind(corner.context(), self.reduced, &step);
            let mut body = Vec::new();
            let second = self.second.element(builder, &mut body, &context, &column);
            for row in 0..self.engine.split.rows {
                let first = self.first(builder, &mut body, &context, &(corner.row.clone() + row.into()));
                let sum = builder.define(&mut body, Scalar::Load(self.engine.own(row)));
                let value = builder.define(&mut body, Scalar::MulAdd(first, second.clone(), sum));
                body.push(Stmt::Store { place: self.engine.own(row), value });
            }
            body
        })]
    }

    /// An element of the first factor; that of the last row for rows that do not exist.
    fn first(&self, builder: &mut KernelBuilder, block: &mut Block, context: &Context<'_>, row: &Dim) -> Operand {
        let last = self.roles.loops.row_count() - 1.into();
        let context = bind(context.clone(), &self.roles.loops.rows, &row.minimum(last));
        self.roles.first_element(builder, block, &context, Cond::default())
    }
}
