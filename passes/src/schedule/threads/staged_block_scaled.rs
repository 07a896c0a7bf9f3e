//! Sums of terms that are computed from rows and columns together, staged in shared memory.
//!
//! A workgroup computes a block of rows and columns of the output. Some steps along the depth at a time, its threads compute what terms
//! need of rows alone and of columns alone, each for an equal share of them, and put it into shared memory: a row or column is
//! decoded once for the whole block. Then each thread adds the terms of its rows and columns to sums in registers: it keeps what it
//! needs of its columns and goes through its rows.

use super::shape::{Shape, choose};
use super::{BlockStart, Workgroups, each_thread, unrolled};
use crate::schedule::Scheduled;
use crate::schedule::build::{Block, Context, KernelBuilder, bind, for_loop, unflatten, when};
use crate::schedule::contraction::block_scaled::{BlockScaled, Side, Values};
use crate::schedule::nest::Nest;
use lostwax_ir::compute::StepId;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, Cond, LocalId, LoopKind, Place, Scalar, Stmt};
use lostwax_ir::types::DType;

/// Shapes to choose from, the one with the most reuse first. The depth is the most that is staged at once.
const SHAPES: [Shape; 6] = [
    Shape { rows: 128, columns: 64, depth: 2, thread_rows: 8, thread_columns: 4 },
    Shape { rows: 64, columns: 64, depth: 2, thread_rows: 8, thread_columns: 4 },
    Shape { rows: 32, columns: 64, depth: 2, thread_rows: 4, thread_columns: 4 },
    Shape { rows: 32, columns: 32, depth: 4, thread_rows: 4, thread_columns: 2 },
    Shape { rows: 16, columns: 32, depth: 4, thread_rows: 4, thread_columns: 1 },
    Shape { rows: 8, columns: 32, depth: 4, thread_rows: 2, thread_columns: 1 },
];

/// Builds the kernel, if the sum has the size for it.
pub(in crate::schedule) fn schedule(
    name: &str,
    nest: &Nest,
    block_scaled: &BlockScaled,
    buffers: &[BufferDecl],
    caps: &Workgroups,
) -> Option<Scheduled> {
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let sides = [Side::ROW, Side::COLUMN].map(|side| Held::new(&builder, block_scaled, side));
    let bytes = |shape: &Shape| shape.depth * (shape.rows * sides[0].bytes() + shape.columns * sides[1].bytes());
    let shapes = SHAPES.into_iter().map(|shape| as_deep_as_fits(shape, caps.scratch_bytes, bytes));
    let shape = choose(shapes, &block_scaled.loops, caps, bytes)?;
    let grid = BlockStart::grid(&block_scaled.loops, shape.rows, shape.columns);
    let item = builder.symbol("item", &product(&grid));
    let block_start = BlockStart::new(&block_scaled.loops, unflatten(&Dim::symbol(&item), &grid), shape.rows, shape.columns);
    let emitter = Emitter::new(&mut builder, nest, block_scaled, sides, shape);
    let body = emitter.item(&mut builder, &block_start);
    Some(Scheduled { kernel: builder.finish(name, item, product(&grid), body), packing: Vec::new(), slow: None })
}

/// The shape with as many steps at once as fit into shared memory, by halves.
fn as_deep_as_fits(shape: Shape, shared: i64, bytes: impl Fn(&Shape) -> i64) -> Shape {
    let depths = std::iter::successors(Some(shape.depth), |depth| Some(depth / 2)).take_while(|depth| *depth > 0);
    let mut shapes = depths.map(|depth| Shape { depth, ..shape });
    shapes.find(|shape| bytes(shape) <= shared).unwrap_or(shape)
}

/// What terms need of one side.
struct Held {
    side: Side,
    values: Vec<(StepId, DType)>,
}

impl Held {
    fn new(builder: &KernelBuilder, block_scaled: &BlockScaled, side: Side) -> Self {
        Self { side, values: block_scaled.held(side).into_iter().map(|id| (id, block_scaled.dtype(builder, id))).collect() }
    }

    /// Bytes for one row or column and step, each value as wide as a register.
    fn bytes(&self) -> i64 {
        self.values.iter().map(|(_, dtype)| dtype.size().max(4) as i64).sum()
    }
}

/// What is staged of one side.
struct Staged {
    side: Side,
    /// Rows or columns of a block.
    width: i64,
    /// Values and where they are, `[depth, width]`.
    values: Vec<(StepId, LocalId)>,
}

impl Staged {
    fn new(builder: &mut KernelBuilder, held: &Held, shape: &Shape) -> Self {
        let (name, width) = if held.side == Side::ROW { ("rows", shape.rows) } else { ("columns", shape.columns) };
        let mut shared = |dtype: DType| builder.shared(name, dtype, (shape.depth * width) as u32);
        Self { side: held.side, width, values: held.values.iter().map(|(id, dtype)| (*id, shared(*dtype))).collect() }
    }

    fn at(&self, local: LocalId, step: &Dim, across: &Dim) -> Place {
        Place::Local(local, step.clone() * self.width.into() + across.clone())
    }

    /// Brings the values of a row or column into registers.
    fn load(&self, builder: &mut KernelBuilder, block: &mut Block, values: &mut Values, step: &Dim, across: &Dim) {
        for (id, local) in &self.values {
            values.set(*id, builder.define(block, Scalar::Load(self.at(*local, step, across))));
        }
    }
}

struct Emitter<'a> {
    nest: &'a Nest,
    block_scaled: &'a BlockScaled,
    shape: Shape,
    rows: Staged,
    columns: Staged,
    /// `[thread_rows, thread_columns]`
    sums: LocalId,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, block_scaled: &'a BlockScaled, sides: [Held; 2], shape: Shape) -> Self {
        let [rows, columns] = sides.map(|held| Staged::new(builder, &held, &shape));
        let sums = builder.local("sums", DType::F32, (shape.thread_rows * shape.thread_columns) as u32);
        Self { nest, block_scaled, shape, rows, columns, sums }
    }

    fn item(&self, builder: &mut KernelBuilder, block_start: &BlockStart<'_>) -> Block {
        let (threads, steps) = (self.shape.threads(), &self.block_scaled.loops.depth.extent);
        let rounds = steps.ceil_div(self.shape.depth);
        let round = builder.symbol("step", &rounds);
        let first = Dim::symbol(&round) * self.shape.depth.into();
        let clear = each_thread(builder, threads, |builder, _| self.shape.clear(builder, self.sums));
        let stage = each_thread(builder, threads, |builder, thread| {
            [&self.rows, &self.columns].map(|staged| self.stage(builder, block_start, staged, &first, thread)).into()
        });
        let add = each_thread(builder, threads, |builder, thread| vec![self.add(builder, &first, thread)]);
        let store = each_thread(builder, threads, |builder, thread| vec![self.store(builder, block_start, thread)]);
        vec![clear, for_loop(&round, rounds, LoopKind::Serial, vec![stage, add]), store]
    }

    fn sum_at(&self, row: &Dim, column: i64) -> Place {
        self.shape.sum_at(self.sums, row, &column.into())
    }

    /// Computes this thread's share of the values of one side. Neighbouring threads take neighbouring columns, but of rows
    /// neighbouring steps.
    fn stage(
        &self,
        builder: &mut KernelBuilder,
        block_start: &BlockStart<'_>,
        staged: &Staged,
        first: &Dim,
        thread: &Dim,
    ) -> Stmt {
        let (count, threads) = (staged.width * self.shape.depth, self.shape.threads());
        unrolled(builder, (count + threads - 1) / threads, |builder, share| {
            let flat = Dim::symbol(share) * threads.into() + thread.clone();
            let (step, across) = match staged.side == Side::ROW {
                true => (flat.modulo(self.shape.depth), flat.floor_div(self.shape.depth)),
                false => (flat.floor_div(staged.width), flat.modulo(staged.width)),
            };
            let exists = Cond(if count % threads == 0 { Vec::new() } else { vec![Dim::constant(count - 1) - flat] });
            let context = self.at_existing(block_start, staged.side, &(first.clone() + step.clone()), &across);
            let (mut body, mut values) = (Vec::new(), self.block_scaled.undefined_values());
            let of_side = |side| side == staged.side || side == Side::NEITHER;
            self.block_scaled.expand(builder, &mut body, &context, &mut values, of_side);
            let store = |(id, local): &(StepId, LocalId)| Stmt::Store {
                place: staged.at(*local, &step, &across),
                value: values.get(*id),
            };
            body.extend(staged.values.iter().map(store));
            when(exists.simplify(), body)
        })
    }

    /// The loops at a step and a row or column of the block, or at the last ones for those that do not exist.
    fn at_existing<'c>(&'c self, block_start: &BlockStart<'c>, side: Side, step: &Dim, across: &Dim) -> Context<'c> {
        let loops = &self.block_scaled.loops;
        let existing = |at: Dim, count: Dim, length: i64| match count.is_multiple_of(length) {
            true => at,
            false => at.minimum(count - 1.into()),
        };
        let step = existing(step.clone(), loops.depth.extent.clone(), self.shape.depth);
        let context = block_start.context().bind(&loops.depth.symbol, step);
        match side == Side::ROW {
            true => {
                let row = existing(block_start.row.clone() + across.clone(), loops.row_count(), self.shape.rows);
                bind(context, &loops.rows, &row)
            }
            false => {
                let column =
                    existing(block_start.column.clone() + across.clone(), loops.column.extent.clone(), self.shape.columns);
                context.bind(&loops.column.symbol, column)
            }
        }
    }

    /// The first row of a thread, and its first column; its other columns are as many further as threads are side by side.
    fn place(&self, thread: &Dim) -> (Dim, Dim) {
        let (row, column) = (thread.floor_div(self.shape.across()), thread.modulo(self.shape.across()));
        (row * self.shape.thread_rows.into(), column)
    }

    /// Adds the terms of all staged steps to this thread's sums.
    fn add(&self, builder: &mut KernelBuilder, first: &Dim, thread: &Dim) -> Stmt {
        let steps = (self.block_scaled.loops.depth.extent.clone() - first.clone()).minimum(self.shape.depth);
        let staged = builder.symbol("k", &self.shape.depth.into());
        let step = Dim::symbol(&staged);
        let context = Context::default().bind(&self.block_scaled.loops.depth.symbol, first.clone() + step.clone());
        let (mut body, mut values, (row, column)) = (Vec::new(), self.block_scaled.undefined_values(), self.place(thread));
        self.block_scaled.expand(builder, &mut body, &context, &mut values, |side| side == Side::NEITHER);
        let columns: Vec<Values> = (0..self.shape.thread_columns)
            .map(|at| {
                let (mut values, across) = (values.clone(), column.clone() + Dim::constant(at * self.shape.across()));
                self.columns.load(builder, &mut body, &mut values, &step, &across);
                values
            })
            .collect();
        body.push(unrolled(builder, self.shape.thread_rows, |builder, at| {
            let (mut body, at) = (Vec::new(), Dim::symbol(at));
            let mut row_values = self.block_scaled.undefined_values();
            self.rows.load(builder, &mut body, &mut row_values, &step, &(row.clone() + at.clone()));
            for (number, values) in (0..).zip(&columns) {
                let mut values = values.clone();
                self.rows.values.iter().for_each(|(id, _)| values.set(*id, row_values.get(*id)));
                self.block_scaled.expand(builder, &mut body, &context, &mut values, Side::is_both);
                self.block_scaled.add_terms(builder, &mut body, &values, self.sum_at(&at, number));
            }
            body
        }));
        for_loop(&staged, steps, LoopKind::Serial, body)
    }

    fn store(&self, builder: &mut KernelBuilder, block_start: &BlockStart<'_>, thread: &Dim) -> Stmt {
        let (row, column) = self.place(thread);
        unrolled(builder, self.shape.thread_rows, |builder, at| {
            let (mut block, at) = (Vec::new(), Dim::symbol(at));
            for number in 0..self.shape.thread_columns {
                let across = column.clone() + Dim::constant(number * self.shape.across());
                let mut body = Vec::new();
                let sum = builder.define(&mut body, Scalar::Load(self.sum_at(&at, number)));
                let (exists, stores) = block_start.store(builder, self.nest, (&(row.clone() + at.clone()), &across), sum);
                body.extend(stores);
                block.extend(when(exists, body));
            }
            block
        })
    }
}
