//! Reductions that are split among threads.
//!
//! A workgroup computes a few elements of the output. For each of them, several threads reduce interleaved steps, and then reduce
//! their results together. Consecutive threads take neighbours in memory: steps of one element, or one step of neighbouring
//! elements.

use super::{BlockStart, Workgroups, each_thread, unrolled};
use crate::schedule::build::{Block, Context, KernelBuilder, bind, for_loop, unflatten, when};
use crate::schedule::contraction::{Roles, SecondFactor};
use crate::schedule::nest::{Nest, NestReduction};
use crate::schedule::reduce::{accumulate, identity};
use crate::schedule::{Argument, Scheduled};
use crate::size_hint::size_hint;
use lostwax_ir::compute::{Axis, Step};
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::{BufferDecl, Cond, Kernel, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::ReduceOp;
use lostwax_ir::types::DType;

/// Reductions of fewer steps than this are not split.
const FEWEST_STEPS: i64 = 32;

/// Steps that each thread should take at least.
const STEPS_PER_THREAD: i64 = 4;

/// Steps that a thread has under way at once, at most.
const MOST_AT_ONCE: i64 = 4;

/// Statements of the steps that a thread has under way at once, at most.
const MOST_STATEMENTS: i64 = 128;

/// Threads that a workgroup should have at least.
const FEWEST_THREADS: i64 = 64;

/// Rows of a contraction that share what is read of its second factor, at most.
const MOST_ROWS: i64 = 8;

/// How the threads of a workgroup divide its work.
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
    /// How threads divide a reduction with this size hint of its steps, if it is large enough.
    fn of_reduction(reduction: &NestReduction, steps: i64, caps: &Workgroups, along_columns: bool) -> Option<Self> {
        let work = steps.saturating_mul(products(reduction));
        let columns = if along_columns { caps.coalesced } else { 1 };
        let slices = power_of_two((work / STEPS_PER_THREAD).min(steps), 1, caps.threads / columns);
        let columns = columns.max(FEWEST_THREADS / slices);
        (work >= FEWEST_STEPS && slices > 1).then_some(Self { columns, slices, rows: 1, along_columns })
    }

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
    caps: &Workgroups,
    along_columns: bool,
) -> Option<Kernel> {
    let steps = product(reduction.axes.iter().map(|axis| &axis.extent));
    let split = Split::of_reduction(reduction, size_hint(&steps), caps, along_columns)?;
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let count = product(nest.axes.iter().map(|axis| &axis.extent));
    let grid = count.ceil_div(split.columns);
    let item = builder.symbol("item", &grid);
    let engine = Engine::new(&mut builder, split, reduction.op, reduction.dtype);
    let elements = Elements { nest, reduction, count, first: Dim::symbol(&item) * split.columns.into() };
    let partial = |builder: &mut KernelBuilder, column: &Dim, step: Dim, found: &Found<'_>| {
        elements.accumulate(builder, column, &step, &found(0))
    };
    let store = |builder: &mut KernelBuilder, _: &Dim, column: &Dim, reduced: Operand| elements.store(builder, column, reduced);
    let body = engine.item(&mut builder, &steps, &partial, &store);
    Some(builder.finish(name, item, grid, body))
}

/// The elements of a workgroup that are reduced.
struct Elements<'a> {
    nest: &'a Nest,
    reduction: &'a NestReduction,
    /// All elements of the output.
    count: Dim,
    first: Dim,
}

impl Elements<'_> {
    fn flat(&self, column: &Dim) -> Dim {
        self.first.clone() + column.clone()
    }

    fn exists(&self, flat: &Dim) -> Cond {
        Cond(vec![self.count.clone() - 1.into() - flat.clone()]).simplify()
    }

    /// Reduces a step of an element into a place; of the last element for those that do not exist.
    fn accumulate(&self, builder: &mut KernelBuilder, column: &Dim, step: &Dim, found: &Place) -> Block {
        let flat = self.flat(column);
        let flat = if self.exists(&flat).always() { flat } else { flat.minimum(self.count.clone() - 1.into()) };
        let context = bind(bind(Context::default(), &self.nest.axes, &flat), &self.reduction.axes, step);
        let mut body = Vec::new();
        accumulate(builder, &mut body, self.reduction, &context, found);
        body
    }

    fn store(&self, builder: &mut KernelBuilder, column: &Dim, reduced: Operand) -> (Cond, Block) {
        let flat = self.flat(column);
        let mut context = bind(Context::default(), &self.nest.axes, &flat);
        context.reduced = Some(reduced);
        let mut block = Vec::new();
        builder.store_result(&mut block, self.nest, &context);
        (self.exists(&flat), block)
    }
}

/// The products of bytes that a step sums up, or 1.
fn products(reduction: &NestReduction) -> i64 {
    let products = reduction.value.steps.iter().filter(|step| matches!(step, Step::Dot4(..))).count();
    products.max(1) as i64
}

/// Builds the kernel of a contraction of few rows, if it has the size for it.
pub(super) fn contract(
    name: &str,
    nest: &Nest,
    roles: &Roles,
    inputs: &[Argument],
    buffers: &[BufferDecl],
    caps: &Workgroups,
) -> Option<Scheduled> {
    let (second, packing) = SecondFactor::new(roles, inputs);
    let chunk = second.period();
    let reduced: Vec<Axis> = roles.loops.reduced().cloned().collect();
    let steps = product(reduced.iter().map(|axis| &axis.extent));
    let chunks = steps.floor_div(chunk);
    let typical = size_hint(&steps);
    let columns = caps.coalesced;
    let slices = power_of_two(typical / (STEPS_PER_THREAD * chunk.max(1)), 1, caps.threads / columns);
    let rows = size_hint(&roles.loops.row_count()).clamp(1, MOST_ROWS);
    if typical < FEWEST_STEPS || slices < 2 {
        return None;
    }
    let split = Split { columns, slices, rows, along_columns: true };
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let grid = BlockStart::grid(&roles.loops, rows, columns);
    let item = builder.symbol("item", &product(&grid));
    let engine = Engine::new(&mut builder, split, ReduceOp::Sum, DType::F32);
    let product_of = Products { roles, second: &second, reduced: &reduced, rows, chunk };
    let block_start = BlockStart::new(&roles.loops, unflatten(&Dim::symbol(&item), &grid), rows, columns);
    let partial = |builder: &mut KernelBuilder, column: &Dim, step: Dim, found: &Found<'_>| {
        product_of.add(builder, &block_start, column, &step, found)
    };
    let store =
        |builder: &mut KernelBuilder, row: &Dim, column: &Dim, sum: Operand| block_start.store(builder, nest, (row, column), sum);
    let body = engine.item(&mut builder, &chunks, &partial, &store);
    Some(Scheduled { kernel: builder.finish(name, item, product(&grid), body), packing, slow: None })
}

/// How many steps a thread should have under way at once, given what one takes and how many there typically are.
fn steps_at_once(step: &[Stmt], typical: i64) -> i64 {
    power_of_two((MOST_STATEMENTS / statements(step).max(1)).min(typical), 1, MOST_AT_ONCE)
}

/// The statements of a block once loops are expanded.
fn statements(block: &[Stmt]) -> i64 {
    let of = |stmt: &Stmt| match stmt {
        Stmt::For { extent, kind: LoopKind::Unrolled, body, .. } => {
            extent.as_constant().unwrap_or(1).saturating_mul(statements(body))
        }
        Stmt::For { body, .. } => statements(body),
        Stmt::If { then, otherwise, .. } => statements(then) + statements(otherwise),
        _ => 1,
    };
    block.iter().map(of).fold(0, i64::saturating_add)
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

/// Where a thread keeps what it found for a row.
type Found<'a> = dyn Fn(i64) -> Place + 'a;

/// What a step adds for a column, which may be past the last, to what was found.
type Partial<'a> = dyn Fn(&mut KernelBuilder, &Dim, Dim, &Found<'_>) -> Block + 'a;

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

    /// The interleaved steps of one thread in a column, reduced and put into shared memory.
    fn reduce_slice(&self, builder: &mut KernelBuilder, thread: &Dim, steps: &Dim, partial: &Partial<'_>) -> Block {
        let (slice, column) = self.split.place(thread);
        let mut block = self.clear(self.partial, self.split.rows);
        block.extend(self.rounds(builder, (&slice, &column), steps, partial));
        for row in 0..self.split.rows {
            let value = builder.define(&mut block, Scalar::Load(self.own(row)));
            block.push(Stmt::Store { place: self.found(&row.into(), &slice, &column), value });
        }
        block
    }

    fn clear(&self, local: LocalId, count: i64) -> Block {
        let clear = |at: i64| Stmt::Store { place: Place::Local(local, at.into()), value: identity(self.op, self.dtype) };
        (0..count).map(clear).collect()
    }

    /// All steps of a slice: as many at once as are worth it, which all exist, and then the rest one after another.
    fn rounds(&self, builder: &mut KernelBuilder, (slice, column): (&Dim, &Dim), steps: &Dim, partial: &Partial<'_>) -> Block {
        let (slices, rounds) = (Dim::constant(self.split.slices), steps.ceil_div(self.split.slices));
        let round = builder.symbol("round", &rounds);
        let single = |at: &Dim| at.clone() * slices.clone() + slice.clone();
        let exists = |step: &Dim| match steps.is_multiple_of(self.split.slices) {
            true => Cond::default(),
            false => Cond(vec![steps.clone() - 1.into() - step.clone()]).simplify(),
        };
        let step = single(&Dim::symbol(&round));
        let body = partial(builder, column, step.clone(), &|row| self.own(row));
        let at_once = steps_at_once(&body, size_hint(steps) / self.split.slices);
        if at_once == 1 {
            return vec![for_loop(&round, rounds, LoopKind::Serial, when(exists(&step), body))];
        }
        let turns = steps.floor_div(self.split.slices * at_once);
        let mut block = self.turns(builder, &turns, at_once, |builder, at, found| partial(builder, column, single(at), found));
        let done = turns * at_once.into();
        let rest = rounds - done.clone();
        if rest.is(0) {
            return block;
        }
        let step = single(&(done + Dim::symbol(&round)));
        let body = partial(builder, column, step.clone(), &|row| self.own(row));
        block.push(for_loop(&round, rest, LoopKind::Serial, when(exists(&step), body)));
        block
    }

    /// Turns of several rounds at once; each round adds to sums of its own, so that none waits for another.
    fn turns(
        &self,
        builder: &mut KernelBuilder,
        turns: &Dim,
        at_once: i64,
        round: impl Fn(&mut KernelBuilder, &Dim, &Found<'_>) -> Block,
    ) -> Block {
        let rows = self.split.rows;
        let sums = builder.local("sums", self.dtype, (at_once * rows) as u32);
        let sum_at = |number: &Dim, row: i64| Place::Local(sums, number.clone() * rows.into() + row.into());
        let turn = builder.symbol("turn", turns);
        let body = unrolled(builder, at_once, |builder, number| {
            let number = Dim::symbol(number);
            let at = Dim::symbol(&turn) * at_once.into() + number.clone();
            round(builder, &at, &|row| sum_at(&number, row))
        });
        let mut block = self.clear(sums, at_once * rows);
        block.push(for_loop(&turn, turns.clone(), LoopKind::Serial, vec![body]));
        for row in 0..rows {
            let mut value = builder.define(&mut block, Scalar::Load(sum_at(&0.into(), row)));
            for number in 1..at_once {
                let other = builder.define(&mut block, Scalar::Load(sum_at(&number.into(), row)));
                value = builder.define(&mut block, Scalar::Binary(self.op.combine(), value, other));
            }
            block.push(Stmt::Store { place: self.own(row), value });
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
    rows: i64,
    /// Steps along the depth that belong together.
    chunk: i64,
}

impl Products<'_> {
    /// Adds the products of a chunk to the sums of all rows.
    fn add(
        &self,
        builder: &mut KernelBuilder,
        block_start: &BlockStart<'_>,
        column: &Dim,
        chunk: &Dim,
        found: &Found<'_>,
    ) -> Block {
        let last = self.roles.loops.column.extent.clone() - 1.into();
        let column = (block_start.column.clone() + column.clone()).minimum(last);
        vec![unrolled(builder, self.chunk, |builder, within| {
            let step = chunk.clone() * self.chunk.into() + Dim::symbol(within);
            let context = bind(block_start.context(), self.reduced, &step);
            let mut body = Vec::new();
            let second = self.second.element(builder, &mut body, &context, &column);
            for row in 0..self.rows {
                let first = self.first(builder, &mut body, &context, &(block_start.row.clone() + row.into()));
                let sum = builder.define(&mut body, Scalar::Load(found(row)));
                let value = builder.define(&mut body, Scalar::MulAdd(first, second.clone(), sum));
                body.push(Stmt::Store { place: found(row), value });
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
