//! Contractions whose factors are staged in shared memory.
//!
//! A work item is a block of rows and columns of the output. Step by step along the depth, which is flattened with the taps, its
//! threads bring the block's part of both factors into shared memory, each an equal share, and then each adds the products of its
//! rows and columns to sums in registers: every element that is read is used once for each row, or column, of the block.

use super::shape::{Shape, choose};
use super::{Corner, each_thread, unrolled};
use crate::schedule::build::{Block, Context, KernelBuilder, bind, for_loop, unflatten, when};
use crate::schedule::contraction::{Roles, SecondFactor};
use crate::schedule::nest::Nest;
use crate::schedule::{Argument, Scheduled, representative};
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, Cond, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::types::DType;
use lostwax_target_api::ThreadCaps;

/// Shapes to choose from, the one with the most reuse first.
const SHAPES: [Shape; 4] = [
    Shape { rows: 128, columns: 128, depth: 8, thread_rows: 8, thread_columns: 8 },
    Shape { rows: 64, columns: 64, depth: 16, thread_rows: 4, thread_columns: 4 },
    Shape { rows: 32, columns: 64, depth: 16, thread_rows: 4, thread_columns: 4 },
    Shape { rows: 16, columns: 32, depth: 32, thread_rows: 2, thread_columns: 2 },
];

/// Elements between the rows of a staged factor beyond those that it has, so that threads that stage neighbours along the depth
/// do not wait for one bank of memory.
const PADDING: i64 = 4;

/// Contractions with a shorter depth are not staged.
const SHORTEST_DEPTH: i64 = 16;

/// What a shape stages.
fn shared_bytes(shape: &Shape) -> i64 {
    4 * shape.depth * (shape.rows + shape.columns + 2 * PADDING)
}

/// Builds the kernel, if the contraction has the size for it.
pub(super) fn schedule(
    name: &str,
    nest: &Nest,
    roles: &Roles,
    inputs: &[Argument],
    buffers: &[BufferDecl],
    caps: &ThreadCaps,
) -> Option<Scheduled> {
    let steps = product(roles.loops.reduced().map(|axis| &axis.extent));
    let shape =
        choose(SHAPES.into_iter(), &roles.loops, caps, shared_bytes).filter(|_| representative(&steps) >= SHORTEST_DEPTH)?;
    let (second, packing) = SecondFactor::new(roles, inputs);
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let grid = Corner::grid(&roles.loops, shape.rows, shape.columns);
    let item = builder.symbol("item", &product(&grid));
    let emitter = Emitter::new(&mut builder, nest, roles, second, shape);
    let body = emitter.item(
        &mut builder,
        &Corner::new(&roles.loops, unflatten(&Dim::symbol(&item), &grid), shape.rows, shape.columns),
        &steps,
    );
    Some(Scheduled { kernel: builder.finish(name, item, product(&grid), body), packing, slow: None })
}

struct Emitter<'a> {
    nest: &'a Nest,
    roles: &'a Roles,
    second: SecondFactor<'a>,
    reduced: Vec<Axis>,
    shape: Shape,
    /// `[depth, rows]` and `[depth, columns]` of the factors.
    staged: [LocalId; 2],
    sums: LocalId,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, roles: &'a Roles, second: SecondFactor<'a>, shape: Shape) -> Self {
        let staged = [("rows", shape.rows), ("columns", shape.columns)]
            .map(|(name, width)| builder.shared(name, DType::F32, (shape.depth * (width + PADDING)) as u32));
        let sums = builder.local("sums", DType::F32, (shape.thread_rows * shape.thread_columns) as u32);
        Self { nest, roles, second, reduced: roles.loops.reduced().cloned().collect(), shape, staged, sums }
    }

    fn item(&self, builder: &mut KernelBuilder, corner: &Corner<'a>, steps: &Dim) -> Block {
        let threads = self.shape.threads();
        let clear = each_thread(builder, threads, |builder, _| self.clear(builder));
        let step = builder.symbol("step", &steps.ceil_div(self.shape.depth));
        let first = Dim::symbol(&step) * self.shape.depth.into();
        let stage = each_thread(builder, threads, |builder, thread| self.stage(builder, corner, (&first, steps), thread));
        let multiply = each_thread(builder, threads, |builder, thread| self.multiply(builder, thread));
        let store = each_thread(builder, threads, |builder, thread| self.store(builder, corner, thread));
        vec![clear, for_loop(&step, steps.ceil_div(self.shape.depth), LoopKind::Serial, vec![stage, multiply]), store]
    }

    fn sum_at(&self, row: &Dim, column: &Dim) -> Place {
        Place::Local(self.sums, row.clone() * self.shape.thread_columns.into() + column.clone())
    }

    fn staged_at(&self, factor: usize, step: &Dim, across: Dim) -> Place {
        let width = [self.shape.rows, self.shape.columns][factor] + PADDING;
        Place::Local(self.staged[factor], step.clone() * width.into() + across)
    }

    fn clear(&self, builder: &mut KernelBuilder) -> Block {
        let count = self.shape.thread_rows * self.shape.thread_columns;
        vec![unrolled(builder, count, |_, at| {
            vec![Stmt::Store { place: Place::Local(self.sums, Dim::symbol(at)), value: Operand::float(DType::F32, 0.0) }]
        })]
    }

    /// Brings this thread's share of both factors into shared memory.
    fn stage(&self, builder: &mut KernelBuilder, corner: &Corner<'_>, (first, steps): (&Dim, &Dim), thread: &Dim) -> Block {
        let along_depth = [self.roles.left_along_depth(), self.second.along_depth()];
        let mut block = Vec::new();
        for factor in 0..2 {
            let width = [self.shape.rows, self.shape.columns][factor];
            block.push(unrolled(builder, width * self.shape.depth / self.shape.threads(), |builder, share| {
                let flat = Dim::symbol(share) * self.shape.threads().into() + thread.clone();
                let (step, across) = match along_depth[factor] {
                    true => (flat.modulo(self.shape.depth), flat.floor_div(self.shape.depth)),
                    false => (flat.floor_div(width), flat.modulo(width)),
                };
                let mut body = Vec::new();
                let at = first.clone() + step.clone();
                let exists = Cond(vec![steps.clone() - 1.into() - at.clone()]);
                let value = match factor {
                    0 => self.left(builder, &mut body, corner, (at, exists), &across),
                    _ => self.right(builder, &mut body, corner, (at, exists), &across),
                };
                body.push(Stmt::Store { place: self.staged_at(factor, &step, across), value });
                body
            }));
        }
        block
    }

    fn at_step<'c>(&'c self, corner: &Corner<'c>, step: Dim) -> Context<'c> {
        bind(corner.context(), &self.reduced, &step)
    }

    /// An element of the first factor, 0 where there is none.
    fn left(&self, builder: &mut KernelBuilder, block: &mut Block, corner: &Corner<'_>, at: (Dim, Cond), row: &Dim) -> Operand {
        let flat = corner.row.clone() + row.clone();
        let exists = at.1.and(Cond(vec![self.roles.loops.row_count() - 1.into() - flat.clone()]));
        let context = bind(self.at_step(corner, at.0), &self.roles.loops.rows, &flat);
        self.roles.first_element(builder, block, &context, exists)
    }

    /// An element of the second factor, 0 where there is none.
    fn right(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        corner: &Corner<'_>,
        at: (Dim, Cond),
        column: &Dim,
    ) -> Operand {
        let column = corner.column.clone() + column.clone();
        let last = self.roles.loops.column.extent.clone() - 1.into();
        let exists = at.1.and(Cond(vec![last.clone() - column.clone()])).simplify();
        let existing = at.0.minimum(product(self.reduced.iter().map(|axis| &axis.extent)) - 1.into());
        let context = self.at_step(corner, existing);
        let value = self.second.element(builder, block, &context, &column.minimum(last));
        match exists.always() {
            true => value,
            false => builder.define(block, Scalar::SelectIf(exists, value, Operand::float(DType::F32, 0.0))),
        }
    }

    /// Adds the products of all staged steps to this thread's sums.
    fn multiply(&self, builder: &mut KernelBuilder, thread: &Dim) -> Block {
        let step = builder.symbol("k", &self.shape.depth.into());
        let mut body = Vec::new();
        let (row, column) = (thread.floor_div(self.shape.across()), thread.modulo(self.shape.across()));
        let mut load = |builder: &mut KernelBuilder, place| builder.define(&mut body, Scalar::Load(place));
        let rows: Vec<Operand> = (0..self.shape.thread_rows)
            .map(|at| row.clone() * self.shape.thread_rows.into() + at.into())
            .map(|at| load(builder, self.staged_at(0, &Dim::symbol(&step), at)))
            .collect();
        let columns: Vec<Operand> = (0..self.shape.thread_columns)
            .map(|at| column.clone() + Dim::constant(at * self.shape.across()))
            .map(|at| load(builder, self.staged_at(1, &Dim::symbol(&step), at)))
            .collect();
        for (i, x) in rows.iter().enumerate() {
            for (j, y) in columns.iter().enumerate() {
                let place = self.sum_at(&Dim::constant(i as i64), &Dim::constant(j as i64));
                let sum = builder.define(&mut body, Scalar::Load(place.clone()));
                let value = builder.define(&mut body, Scalar::MulAdd(x.clone(), y.clone(), sum));
                body.push(Stmt::Store { place, value });
            }
        }
        vec![for_loop(&step, self.shape.depth, LoopKind::Serial, body)]
    }

    fn store(&self, builder: &mut KernelBuilder, corner: &Corner<'_>, thread: &Dim) -> Block {
        let (row, column) = (thread.floor_div(self.shape.across()), thread.modulo(self.shape.across()));
        let rows = unrolled(builder, self.shape.thread_rows, |builder, i| {
            vec![unrolled(builder, self.shape.thread_columns, |builder, j| {
                let at = row.clone() * self.shape.thread_rows.into() + Dim::symbol(i);
                let across = column.clone() + Dim::symbol(j) * self.shape.across().into();
                let mut body = Vec::new();
                let sum = builder.define(&mut body, Scalar::Load(self.sum_at(&Dim::symbol(i), &Dim::symbol(j))));
                let (exists, stores) = corner.store(builder, self.nest, (&at, &across), sum);
                body.extend(stores);
                when(exists, body)
            })]
        });
        vec![rows]
    }
}
