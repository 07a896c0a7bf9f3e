//! Contractions whose factors are staged in shared memory.
//!
//! A workgroup computes a block of rows and columns of the output. Step by step along the depth, which is flattened with the taps, its
//! threads bring the block's part of both factors into shared memory, each an equal share, and then each adds the products of its
//! rows and columns to sums in registers: every element that is read is used once for each row, or column, of the block.

use super::shape::{Shape, choose};
use super::{BlockStart, Workgroups, each_thread, lanes, unrolled};
use crate::schedule::build::{ALL_LANES, Block, Context, KernelBuilder, bind, for_loop, unflatten, when};
use crate::schedule::contraction::{Roles, SecondFactor};
use crate::schedule::nest::Nest;
use crate::schedule::{Argument, Scheduled};
use crate::size_hint::size_hint;
use lostwax_ir::compute::{Axis, Step};
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, Cond, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::types::DType;

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

/// Neighbours that are accessed together: as many as memory has operations for.
const GROUP: i64 = 4;

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
    caps: &Workgroups,
) -> Option<Scheduled> {
    let steps = product(roles.loops.reduced().map(|axis| &axis.extent));
    let shape = choose(SHAPES.into_iter(), &roles.loops, caps, shared_bytes).filter(|_| size_hint(&steps) >= SHORTEST_DEPTH)?;
    let (second, packing) = SecondFactor::new(roles, inputs);
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let grid = BlockStart::grid(&roles.loops, shape.rows, shape.columns);
    let item = builder.symbol("item", &product(&grid));
    let emitter = Emitter::new(&mut builder, nest, roles, second, shape);
    let body = emitter.item(
        &mut builder,
        &BlockStart::new(&roles.loops, unflatten(&Dim::symbol(&item), &grid), shape.rows, shape.columns),
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
    /// What a thread has of both for one step.
    factors: [LocalId; 2],
    sums: LocalId,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, roles: &'a Roles, second: SecondFactor<'a>, shape: Shape) -> Self {
        let staged = [("rows", shape.rows), ("columns", shape.columns)]
            .map(|(name, width)| builder.shared(name, DType::F32, (shape.depth * (width + PADDING)) as u32));
        let factors = [("x", shape.thread_rows), ("y", shape.thread_columns)]
            .map(|(name, count)| builder.local(name, DType::F32, count as u32));
        let sums = builder.local("sums", DType::F32, (shape.thread_rows * shape.thread_columns) as u32);
        Self { nest, roles, second, reduced: roles.loops.reduced().cloned().collect(), shape, staged, factors, sums }
    }

    fn item(&self, builder: &mut KernelBuilder, block_start: &BlockStart<'a>, steps: &Dim) -> Block {
        let threads = self.shape.threads();
        let clear = each_thread(builder, threads, |builder, _| self.shape.clear(builder, self.sums));
        let step = builder.symbol("step", &steps.ceil_div(self.shape.depth));
        let first = Dim::symbol(&step) * self.shape.depth.into();
        let stage = each_thread(builder, threads, |builder, thread| self.stage(builder, block_start, (&first, steps), thread));
        let multiply = each_thread(builder, threads, |builder, thread| self.multiply(builder, thread));
        let store = each_thread(builder, threads, |builder, thread| self.store(builder, block_start, thread));
        vec![clear, for_loop(&step, steps.ceil_div(self.shape.depth), LoopKind::Serial, vec![stage, multiply]), store]
    }

    fn sum_at(&self, row: &Dim, column: &Dim) -> Place {
        self.shape.sum_at(self.sums, row, column)
    }

    fn staged_at(&self, factor: usize, step: &Dim, across: Dim) -> Place {
        let width = [self.shape.rows, self.shape.columns][factor] + PADDING;
        Place::Local(self.staged[factor], step.clone() * width.into() + across)
    }

    /// Elements of a factor, 0 the first and 1 the second, that are brought and read together: neighbouring rows, or columns.
    fn group(&self, factor: usize) -> i64 {
        [self.shape.thread_rows, self.shape.thread_columns][factor].min(GROUP)
    }

    /// Brings this thread's share of both factors into shared memory.
    fn stage(
        &self,
        builder: &mut KernelBuilder,
        block_start: &BlockStart<'_>,
        (first, steps): (&Dim, &Dim),
        thread: &Dim,
    ) -> Block {
        let along_depth = [self.roles.left_along_depth(), self.second.along_depth()];
        let mut block = Vec::new();
        for factor in 0..2 {
            let groups = [self.shape.rows, self.shape.columns][factor] / self.group(factor);
            block.push(unrolled(builder, groups * self.shape.depth / self.shape.threads(), |builder, share| {
                let flat = Dim::symbol(share) * self.shape.threads().into() + thread.clone();
                let (step, group) = match along_depth[factor] {
                    true => (flat.modulo(self.shape.depth), flat.floor_div(self.shape.depth)),
                    false => (flat.floor_div(groups), flat.modulo(groups)),
                };
                let at = first.clone() + step.clone();
                let exists = Cond(vec![steps.clone() - 1.into() - at.clone()]);
                let start = group * self.group(factor).into();
                vec![lanes(builder, self.group(factor), ALL_LANES, |builder, lane| {
                    let mut body = Vec::new();
                    let value = match factor {
                        0 => self.left(builder, &mut body, block_start, (at, exists), &(start.clone() + lane.clone())),
                        _ => self.right(builder, &mut body, block_start, (at, exists), (&start, lane)),
                    };
                    body.push(Stmt::Store { place: self.staged_at(factor, &step, start + lane.clone()), value });
                    body
                })]
            }));
        }
        block
    }

    fn at_step<'c>(&'c self, block_start: &BlockStart<'c>, step: Dim) -> Context<'c> {
        bind(block_start.context(), &self.reduced, &step)
    }

    /// An element of the first factor, 0 where there is none.
    fn left(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        block_start: &BlockStart<'_>,
        at: (Dim, Cond),
        row: &Dim,
    ) -> Operand {
        let flat = block_start.row.clone() + row.clone();
        let exists = at.1.and(Cond(vec![self.roles.loops.row_count() - 1.into() - flat.clone()]));
        let context = bind(self.at_step(block_start, at.0), &self.roles.loops.rows, &flat);
        self.roles.first_element(builder, block, &context, exists)
    }

    /// An element of the second factor, in a lane of a group of columns; 0 where there is none.
    fn right(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        block_start: &BlockStart<'_>,
        at: (Dim, Cond),
        (start, lane): (&Dim, &Dim),
    ) -> Operand {
        let (whole, rest) = if self.has_whole_groups() { (self.group(1), lane) } else { (1, &Dim::default()) };
        let within = if whole == 1 { start.clone() + lane.clone() } else { start.clone() };
        let column = block_start.column.clone() + within;
        let last = self.roles.loops.column.extent.clone() - whole.into();
        let exists = at.1.and(Cond(vec![last.clone() - column.clone()])).simplify();
        let existing = at.0.minimum(product(self.reduced.iter().map(|axis| &axis.extent)) - 1.into());
        let context = self.at_step(block_start, existing);
        let value = self.second.element(builder, block, &context, &(column.minimum(last) + rest.clone()));
        match exists.always() {
            true => value,
            false => builder.define(block, Scalar::SelectIf(exists, value, Operand::float(DType::F32, 0.0))),
        }
    }

    /// Whether all columns of a group exist if one does.
    fn has_whole_groups(&self) -> bool {
        self.roles.loops.column.extent.is_multiple_of(self.group(1))
    }

    /// Where the row and columns of a thread lie that are numbered like its sums; the columns of a group are neighbours.
    fn own_row(&self, thread: &Dim, row: &Dim) -> Dim {
        thread.floor_div(self.shape.across()) * self.shape.thread_rows.into() + row.clone()
    }

    fn own_column(&self, thread: &Dim, group: &Dim, lane: &Dim) -> Dim {
        let groups = thread.modulo(self.shape.across()) + group.clone() * self.shape.across().into();
        groups * self.group(1).into() + lane.clone()
    }

    /// Adds the products of all staged steps to this thread's sums.
    fn multiply(&self, builder: &mut KernelBuilder, thread: &Dim) -> Block {
        let step = builder.symbol("k", &self.shape.depth.into());
        let mut body = Vec::new();
        for (factor, local) in (0..).zip(self.factors) {
            let count = [self.shape.thread_rows, self.shape.thread_columns][factor];
            body.extend((0..count / self.group(factor)).map(|group| {
                lanes(builder, self.group(factor), ALL_LANES, |builder, lane| {
                    let at = match factor {
                        0 => self.own_row(thread, &(Dim::constant(group * self.group(0)) + lane.clone())),
                        _ => self.own_column(thread, &group.into(), lane),
                    };
                    let mut body = Vec::new();
                    let value = builder.define(&mut body, Scalar::Load(self.staged_at(factor, &Dim::symbol(&step), at)));
                    let place = Place::Local(local, Dim::constant(group * self.group(factor)) + lane.clone());
                    body.push(Stmt::Store { place, value });
                    body
                })
            }));
        }
        self.add_products(builder, &mut body);
        vec![for_loop(&step, self.shape.depth, LoopKind::Serial, body)]
    }

    fn add_products(&self, builder: &mut KernelBuilder, body: &mut Block) {
        let mut load = |local: LocalId, count: i64| -> Vec<Operand> {
            (0..count).map(|at| builder.define(body, Scalar::Load(Place::Local(local, at.into())))).collect()
        };
        let rows = load(self.factors[0], self.shape.thread_rows);
        let columns = load(self.factors[1], self.shape.thread_columns);
        for (i, x) in rows.iter().enumerate() {
            for (j, y) in columns.iter().enumerate() {
                let place = self.sum_at(&Dim::constant(i as i64), &Dim::constant(j as i64));
                let sum = builder.define(body, Scalar::Load(place.clone()));
                let value = builder.define(body, Scalar::MulAdd(x.clone(), y.clone(), sum));
                body.push(Stmt::Store { place, value });
            }
        }
    }

    fn store(&self, builder: &mut KernelBuilder, block_start: &BlockStart<'_>, thread: &Dim) -> Block {
        let rows = unrolled(builder, self.shape.thread_rows, |builder, row| {
            vec![unrolled(builder, self.shape.thread_columns / self.group(1), |builder, group| {
                self.store_group(builder, block_start, thread, (&Dim::symbol(row), &Dim::symbol(group)))
            })]
        });
        vec![rows]
    }

    fn store_group(
        &self,
        builder: &mut KernelBuilder,
        block_start: &BlockStart<'_>,
        thread: &Dim,
        (row, group): (&Dim, &Dim),
    ) -> Block {
        let is_whole = self.has_whole_groups() && !self.nest.result.steps.iter().any(|step| matches!(step, Step::Dynamic(..)));
        let at = self.own_row(thread, row);
        let kind = if is_whole { ALL_LANES } else { LoopKind::Unrolled };
        let stores = lanes(builder, self.group(1), kind, |builder, lane| {
            let mut body = Vec::new();
            let place = self.sum_at(row, &(group.clone() * self.group(1).into() + lane.clone()));
            let sum = builder.define(&mut body, Scalar::Load(place));
            let column = self.own_column(thread, group, lane);
            let (exists, stores) = block_start.store(builder, self.nest, (&at, &column), sum);
            body.extend(stores);
            if is_whole { body } else { when(exists, body) }
        });
        let exists = if is_whole { block_start.has(&at, &self.own_column(thread, group, &0.into())) } else { Cond::default() };
        when(exists, vec![stores])
    }
}
