//! Weighted sums that the threads of a workgroup compute together.
//!
//! Each thread takes one key of a block and computes its score with all rows; then all know the largest, and each computes its
//! own exponentials; then each takes some columns and adds the weighted values of all keys of the block. Scores, exponentials and the first
//! factors lie in shared memory; sums, totals and the largest scores so far in registers, the latter two in those of all threads.
//! Where there are too few workgroups to keep a machine busy, several groups of threads take the blocks of keys alternately
//! and combine their results at the end (`groups`).

use super::block::multiply_add;
use super::roles::{Keys, Roles};
use super::softmax::larger;
use super::{LOWEST, float};
use crate::schedule::build::{Block, Context, KernelBuilder, bind, bind_each, extents, for_loop, unflatten, when};
use crate::schedule::threads::{Workgroups, each_thread, unrolled};
use crate::size_hint::size_hint;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::{BufferDecl, Cond, Kernel, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

/// Threads of a group, and keys of a block.
pub(super) const THREADS: i64 = 64;

/// Rows of a workgroup, at most.
const MOST_ROWS: i64 = 8;

/// Sums that one thread keeps, at most.
const MOST_SUMS: i64 = 32;

/// The score of a key that a row does not attend to: so much below all that counts that its exponential is 0, and finite, so that differences
/// are numbers.
const MASKED: f64 = f32::MIN as f64;

/// The sizes of a workgroup.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Groups of threads.
    pub(super) groups: i64,
    pub(super) rows: i64,
    /// Columns of one thread, a block of columns apart.
    pub(super) columns: i64,
    /// The length of the products that scores are made from.
    depth: i64,
}

impl Shape {
    /// The shape with the most rows that fits; none if sizes are not known or too large.
    fn new(roles: &Roles<'_>, caps: &Workgroups) -> Option<Self> {
        let (columns, depth) = (roles.column_count().as_constant()?, roles.depth().as_constant()?);
        let shape = |rows: i64| Self { groups: 1, rows, columns: (columns + THREADS - 1) / THREADS, depth };
        let most = size_hint(&roles.row_count()).clamp(1, MOST_ROWS);
        let shape = (1..=most).rev().map(shape).find(|shape| shape.fits(caps))?;
        Some(shape.with_groups(roles, caps))
    }

    fn fits(&self, caps: &Workgroups) -> bool {
        self.threads() <= caps.threads && self.shared_bytes() <= caps.scratch_bytes && self.rows * self.columns <= MOST_SUMS
    }

    /// The shape with as many groups as it takes to keep the machine busy, or as fit, if there may be blocks of keys for them.
    fn with_groups(self, roles: &Roles<'_>, caps: &Workgroups) -> Self {
        let batch: i64 = roles.batch.iter().map(|axis| size_hint(&axis.extent)).product();
        let items = batch * size_hint(&roles.row_count().ceil_div(self.rows));
        let blocks = roles.key_count().ceil_div(THREADS).bounds().1;
        let shapes = std::iter::successors(Some(self), |shape| Some(Self { groups: shape.groups * 2, ..*shape }));
        let wanted = |shape: &Self| {
            shape.groups == 1 || shape.fits(caps) && shape.groups <= blocks && items * shape.groups / 2 < caps.count
        };
        shapes.take_while(wanted).last().unwrap_or(self)
    }

    pub(super) fn threads(&self) -> i64 {
        self.groups * THREADS
    }

    fn shared_bytes(&self) -> i64 {
        let array = |width: i64| (4 * self.rows * width + 15) / 16 * 16;
        let found = if self.groups > 1 { 2 * array(self.groups) } else { 0 };
        2 * array(self.groups * THREADS) + found + array(self.depth)
    }
}

/// Builds the kernel, if its sizes allow it.
pub(super) fn schedule(name: &str, roles: &Roles<'_>, buffers: &[BufferDecl], caps: &Workgroups) -> Option<Kernel> {
    let shape = Shape::new(roles, caps)?;
    let mut builder = KernelBuilder::new(buffers.to_vec());
    let row_blocks = roles.row_count().ceil_div(shape.rows);
    let grid: Vec<Dim> = extents(&roles.batch).into_iter().chain([row_blocks]).collect();
    let item = builder.symbol("item", &product(&grid));
    let mut coords = unflatten(&Dim::symbol(&item), &grid);
    let row = coords.pop().unwrap_or_default() * shape.rows.into();
    let batch = bind_each(Context::default(), &roles.batch, &coords);
    let emitter = Emitter { locals: Locals::new(&mut builder, &shape), roles, shape, batch, row };
    let body = emitter.item(&mut builder);
    Some(builder.finish(name, item, product(&grid), body))
}

pub(super) struct Locals {
    /// `[rows, depth]`, shared.
    queries: LocalId,
    /// `[groups, rows, keys]`, shared.
    pub(super) scores: LocalId,
    /// `[groups, rows, keys]`, shared.
    exponentials: LocalId,
    /// The scores of this thread's key.
    own: LocalId,
    /// The largest score of each row so far.
    pub(super) maxima: LocalId,
    /// The same with the current block.
    largest: LocalId,
    pub(super) totals: LocalId,
    /// `[rows, columns]`
    sums: LocalId,
}

impl Locals {
    fn new(builder: &mut KernelBuilder, shape: &Shape) -> Self {
        let mut shared = |name: &str, width: i64| builder.shared(name, DType::F32, (shape.rows * width) as u32);
        let keys = shape.groups * THREADS;
        let (queries, scores, exponentials) = (shared("queries", shape.depth), shared("scores", keys), shared("powers", keys));
        let mut registers = |name: &str, width: i64| builder.local(name, DType::F32, (shape.rows * width) as u32);
        Self {
            queries,
            scores,
            exponentials,
            own: registers("own", 1),
            maxima: registers("maxima", 1),
            largest: registers("largest", 1),
            totals: registers("totals", 1),
            sums: registers("sums", shape.columns),
        }
    }
}

pub(super) struct Emitter<'a> {
    pub(super) locals: Locals,
    roles: &'a Roles<'a>,
    pub(super) shape: Shape,
    /// The position of the workgroup along the batch loops.
    batch: Context<'a>,
    /// Its first row.
    row: Dim,
}

/// The index of a thread.
pub(super) struct ThreadIndex {
    pub(super) group: Dim,
    /// The thread within its group.
    pub(super) thread: Dim,
}

impl ThreadIndex {
    pub(super) fn new(thread: &Dim) -> Self {
        Self { group: thread.floor_div(THREADS), thread: thread.modulo(THREADS) }
    }
}

impl Emitter<'_> {
    fn item(&self, builder: &mut KernelBuilder) -> Block {
        let mut block =
            vec![each_thread(builder, self.shape.threads(), |builder, thread| self.start(builder, thread)), self.blocks(builder)];
        match self.shape.groups {
            1 => block.push(each_thread(builder, THREADS, |builder, thread| self.store(builder, thread))),
            _ => block.extend(self.merge(builder)),
        }
        block
    }

    /// Runs over the blocks of keys that some row attends to, one for each group at a time.
    fn blocks(&self, builder: &mut KernelBuilder) -> Stmt {
        let last = Dim::constant(self.shape.rows - 1);
        let keys = self.roles.attended_keys(&self.row_context(&0.into()), &self.row_context(&last), THREADS);
        let rounds = keys.blocks.ceil_div(self.shape.groups);
        let round = builder.symbol("block", &rounds);
        let mut step = |body: &dyn Fn(&mut KernelBuilder, &ThreadIndex, &Dim) -> Block| {
            each_thread(builder, self.shape.threads(), |builder, thread| {
                let index = ThreadIndex::new(thread);
                let block = Dim::symbol(&round) * self.shape.groups.into() + index.group.clone();
                let exists = match self.shape.groups {
                    1 => Cond::default(),
                    _ => Cond(vec![keys.blocks.clone() - 1.into() - block.clone()]).simplify(),
                };
                let body = body(builder, &index, &((keys.first_block.clone() + block) * THREADS.into()));
                when(exists, body)
            })
        };
        let body = vec![
            step(&|builder, index, start| self.score(builder, start, index)),
            step(&|builder, index, _| self.weigh(builder, index)),
            step(&|builder, index, start| self.add_values(builder, start, &keys, index)),
        ];
        for_loop(&round, rounds, LoopKind::Serial, body)
    }

    /// The loops at a row of the workgroup, or at the last one for those that do not exist.
    fn row_context<'c>(&'c self, row: &Dim) -> Context<'c> {
        let flat = (self.row.clone() + row.clone()).minimum(self.roles.row_count() - 1.into());
        bind(self.batch.clone(), &self.roles.rows, &flat)
    }

    pub(super) fn each_row(&self, builder: &mut KernelBuilder, body: impl FnOnce(&mut KernelBuilder, &Dim) -> Block) -> Stmt {
        unrolled(builder, self.shape.rows, |builder, row| body(builder, &Dim::symbol(row)))
    }

    pub(super) fn sum_at(&self, row: &Dim, column: i64) -> Place {
        Place::Local(self.locals.sums, row.clone() * self.shape.columns.into() + column.into())
    }

    fn query_at(&self, row: &Dim, depth: &Dim) -> Place {
        Place::Local(self.locals.queries, row.clone() * self.shape.depth.into() + depth.clone())
    }

    /// Brings this thread's share of the first factors into shared memory, and clears what it keeps.
    fn start(&self, builder: &mut KernelBuilder, thread: &Dim) -> Block {
        let (count, threads) = (self.shape.rows * self.shape.depth, self.shape.threads());
        let shares = (count + threads - 1) / threads;
        let share = builder.symbol("share", &shares.into());
        let flat = Dim::symbol(&share) * threads.into() + thread.clone();
        let (row, depth) = (flat.floor_div(self.shape.depth), flat.modulo(self.shape.depth));
        let mut copy = Vec::new();
        let context = bind(self.row_context(&row), &self.roles.weight.axes, &depth);
        let value = builder.expand(&mut copy, &self.roles.weight.left, &context);
        copy.push(Stmt::Store { place: self.query_at(&row, &depth), value });
        let exists = Cond(vec![Dim::constant(count - 1) - flat]).simplify();
        let clear = self.each_row(builder, |_, row| {
            let registers = [(self.locals.maxima, LOWEST), (self.locals.totals, 0.0)];
            let places = registers.map(|(local, value)| (Place::Local(local, row.clone()), value));
            let sums = (0..self.shape.columns).map(|column| (self.sum_at(row, column), 0.0));
            places.into_iter().chain(sums).map(|(place, value)| Stmt::Store { place, value: float(value) }).collect()
        });
        vec![for_loop(&share, shares, LoopKind::Serial, when(exists, copy)), clear]
    }

    /// The scores of this thread's key with all rows.
    fn score(&self, builder: &mut KernelBuilder, start: &Dim, index: &ThreadIndex) -> Block {
        let at = start.clone() + index.thread.clone();
        let existing = at.minimum(self.roles.key_count() - 1.into());
        let own = |row: &Dim| Place::Local(self.locals.own, row.clone());
        let clear = self.each_row(builder, |_, row| vec![Stmt::Store { place: own(row), value: float(0.0) }]);
        let depth = builder.symbol("d", &self.shape.depth.into());
        let mut step = Vec::new();
        let context = bind(self.batch.clone(), &self.roles.weight.axes, &Dim::symbol(&depth));
        let key = builder.expand(&mut step, &self.roles.weight.right, &bind(context, self.roles.keys, &existing));
        step.push(
            self.each_row(builder, |builder, row| {
                multiply_add(builder, &key, self.query_at(row, &Dim::symbol(&depth)), own(row))
            }),
        );
        let finish = self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let mut context = bind(self.row_context(row), self.roles.keys, &existing);
            context.reduced = Some(builder.define(&mut body, Scalar::Load(own(row))));
            let score = builder.expand(&mut body, &self.roles.weight.score, &context);
            let exists = Cond(vec![self.roles.key_count() - 1.into() - at.clone()]);
            let attended = context.cond(&self.roles.weight.valid).and(exists).simplify();
            let value = match attended.always() {
                true => score,
                false => builder.define(&mut body, Scalar::SelectIf(attended, score, float(MASKED))),
            };
            body.push(Stmt::Store { place: self.shared_at(self.locals.scores, &index.group, row, &index.thread), value });
            body
        });
        vec![clear, for_loop(&depth, self.shape.depth, LoopKind::Serial, step), finish]
    }

    /// Finds the largest scores, makes the exponentials of this thread's key, and scales down what was summed so far.
    fn weigh(&self, builder: &mut KernelBuilder, index: &ThreadIndex) -> Block {
        let of_key = |local: LocalId, row: &Dim, key: &Dim| self.shared_at(local, &index.group, row, key);
        let largest = |row: &Dim| Place::Local(self.locals.largest, row.clone());
        let maximum = |row: &Dim| Place::Local(self.locals.maxima, row.clone());
        let copy = self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let value = builder.define(&mut body, Scalar::Load(maximum(row)));
            body.push(Stmt::Store { place: largest(row), value });
            body
        });
        let key = builder.symbol("j", &THREADS.into());
        let compare = self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let old = builder.define(&mut body, Scalar::Load(largest(row)));
            let new = builder.define(&mut body, Scalar::Load(of_key(self.locals.scores, row, &Dim::symbol(&key))));
            let value = larger(builder, &mut body, old, new);
            body.push(Stmt::Store { place: largest(row), value });
            body
        });
        let scale = self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let new = builder.define(&mut body, Scalar::Load(largest(row)));
            let old = builder.define(&mut body, Scalar::Load(maximum(row)));
            let factor = exponential(builder, &mut body, old, new.clone());
            let score = builder.define(&mut body, Scalar::Load(of_key(self.locals.scores, row, &index.thread)));
            let own = exponential(builder, &mut body, score, new.clone());
            body.push(Stmt::Store { place: of_key(self.locals.exponentials, row, &index.thread), value: own });
            body.push(Stmt::Store { place: maximum(row), value: new });
            let sums = (0..self.shape.columns).map(|column| self.sum_at(row, column));
            for place in sums.chain([Place::Local(self.locals.totals, row.clone())]) {
                let sum = builder.define(&mut body, Scalar::Load(place.clone()));
                let value = builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, sum, factor.clone()));
                body.push(Stmt::Store { place, value });
            }
            body
        });
        vec![copy, for_loop(&key, THREADS, LoopKind::Serial, vec![compare]), scale]
    }

    /// A group's element of a row for a key of its block.
    pub(super) fn shared_at(&self, local: LocalId, group: &Dim, row: &Dim, key: &Dim) -> Place {
        let row = group.clone() * self.shape.rows.into() + row.clone();
        Place::Local(local, row * THREADS.into() + key.clone())
    }

    /// Adds the values of the block's keys, weighted, to the sums of this thread's columns.
    fn add_values(&self, builder: &mut KernelBuilder, start: &Dim, keys: &Keys, index: &ThreadIndex) -> Block {
        let count = (keys.end.clone() - start.clone()).minimum(THREADS);
        let key = builder.symbol("j", &count);
        let context = bind(self.batch.clone(), self.roles.keys, &(start.clone() + Dim::symbol(&key)));
        let mut body = Vec::new();
        let values: Vec<Operand> = (0..self.shape.columns)
            .map(|column| {
                let existing = column_of(&index.thread, column).minimum(self.roles.column_count() - 1.into());
                builder.expand(&mut body, self.roles.value, &bind(context.clone(), &self.roles.columns, &existing))
            })
            .collect();
        body.push(self.each_row(builder, |builder, row| {
            let exponential = self.shared_at(self.locals.exponentials, &index.group, row, &Dim::symbol(&key));
            let total = Place::Local(self.locals.totals, row.clone());
            let mut body = multiply_add(builder, &float(1.0), exponential.clone(), total);
            for (column, value) in (0..).zip(&values) {
                body.extend(multiply_add(builder, value, exponential.clone(), self.sum_at(row, column)));
            }
            body
        }));
        vec![for_loop(&key, count, LoopKind::Serial, body)]
    }

    /// Divides the sums by the totals and stores the results.
    fn store(&self, builder: &mut KernelBuilder, thread: &Dim) -> Block {
        vec![self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let total = builder.define(&mut body, Scalar::Load(Place::Local(self.locals.totals, row.clone())));
            let inverse = builder.define(&mut body, Scalar::Unary(UnaryOp::Recip, total));
            for number in 0..self.shape.columns {
                let sum = builder.define(&mut body, Scalar::Load(self.sum_at(row, number)));
                let value = builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, sum, inverse.clone()));
                body.extend(self.store_result(builder, row, &column_of(thread, number), value));
            }
            body
        })]
    }

    /// Stores what a row and column come to, if they exist.
    pub(super) fn store_result(&self, builder: &mut KernelBuilder, row: &Dim, column: &Dim, value: Operand) -> Block {
        let at = self.row.clone() + row.clone();
        let exists =
            Cond(vec![self.roles.row_count() - 1.into() - at.clone(), self.roles.column_count() - 1.into() - column.clone()]);
        let mut context = bind(bind(self.batch.clone(), &self.roles.rows, &at), &self.roles.columns, column);
        context.reduced = Some(value);
        let mut stores = Vec::new();
        builder.store_result(&mut stores, self.roles.nest, &context);
        when(exists.simplify(), stores)
    }
}

/// A column of a thread.
pub(super) fn column_of(thread: &Dim, number: i64) -> Dim {
    thread.clone() + Dim::constant(number * THREADS)
}

/// The exponential of a score relative to another.
pub(super) fn exponential(builder: &mut KernelBuilder, block: &mut Block, score: Operand, largest: Operand) -> Operand {
    let difference = builder.define(block, Scalar::Binary(BinaryOp::Sub, score, largest));
    builder.define(block, Scalar::Unary(UnaryOp::Exp, difference))
}
