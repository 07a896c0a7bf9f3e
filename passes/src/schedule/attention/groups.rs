//! Combines the results of groups of threads, which took different blocks of keys.
//!
//! Each group has sums and totals relative to the largest score that it saw itself. Those of all groups are scaled to the largest
//! score of all, and added. A group that saw no key has the lowest score, by which its sums, which are 0, count nothing.

use super::float;
use super::shared::{Emitter, ThreadIndex, column_of, exponential};
use super::softmax::larger;
use crate::schedule::build::{Block, KernelBuilder, when};
use crate::schedule::threads::each_thread;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{Cond, LocalId, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

/// What each group found, for each row, shared.
struct Found {
    maxima: LocalId,
    totals: LocalId,
}

impl Emitter<'_> {
    /// Adds the results of all groups and stores the sums.
    pub(super) fn merge(&self, builder: &mut KernelBuilder) -> Block {
        let (threads, count) = (self.shape.threads(), (self.shape.groups * self.shape.rows) as u32);
        let mut shared = |name: &str| builder.shared(name, DType::F32, count);
        let found = Found { maxima: shared("found maxima"), totals: shared("found totals") };
        let mut block = vec![
            each_thread(builder, threads, |builder, thread| self.publish(builder, &found, &ThreadIndex::new(thread))),
            each_thread(builder, threads, |builder, thread| self.rescale(builder, &found, &ThreadIndex::new(thread))),
        ];
        for number in 0..self.shape.columns {
            block.push(each_thread(builder, threads, |builder, thread| {
                self.share_sums(builder, &ThreadIndex::new(thread), number)
            }));
            block.push(each_thread(builder, threads, |builder, thread| {
                self.store_sums(builder, &ThreadIndex::new(thread), number)
            }));
        }
        block
    }

    fn found_at(&self, local: LocalId, group: &Dim, row: &Dim) -> Place {
        Place::Local(local, group.clone() * self.shape.rows.into() + row.clone())
    }

    /// The first thread of each group publishes its maxima and totals to the other groups.
    fn publish(&self, builder: &mut KernelBuilder, found: &Found, index: &ThreadIndex) -> Block {
        let publish = self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            for (own, shared) in [(self.locals.maxima, found.maxima), (self.locals.totals, found.totals)] {
                let value = builder.define(&mut body, Scalar::Load(Place::Local(own, row.clone())));
                body.push(Stmt::Store { place: self.found_at(shared, &index.group, row), value });
            }
            body
        });
        when(Cond(vec![-index.thread.clone()]), vec![publish])
    }

    /// Makes the total of all groups, and scales this thread's sums to what they are divided by it, relative to the largest score
    /// of all groups.
    fn rescale(&self, builder: &mut KernelBuilder, found: &Found, index: &ThreadIndex) -> Block {
        let groups = || (0..self.shape.groups).map(Dim::constant);
        vec![self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let mut load = |builder: &mut KernelBuilder, local: LocalId| -> Vec<Operand> {
                groups().map(|group| builder.define(&mut body, Scalar::Load(self.found_at(local, &group, row)))).collect()
            };
            let (maxima, totals) = (load(builder, found.maxima), load(builder, found.totals));
            let largest = maxima.iter().cloned().reduce(|a, b| larger(builder, &mut body, a, b)).unwrap_or(float(0.0));
            let mut total = float(0.0);
            for (maximum, of_group) in maxima.into_iter().zip(totals) {
                let factor = exponential(builder, &mut body, maximum, largest.clone());
                total = builder.define(&mut body, Scalar::MulAdd(of_group, factor, total));
            }
            let inverse = builder.define(&mut body, Scalar::Unary(UnaryOp::Recip, total));
            let own = builder.define(&mut body, Scalar::Load(self.found_at(found.maxima, &index.group, row)));
            let factor = exponential(builder, &mut body, own, largest);
            let factor = builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, factor, inverse));
            for place in (0..self.shape.columns).map(|number| self.sum_at(row, number)) {
                let sum = builder.define(&mut body, Scalar::Load(place.clone()));
                let value = builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, sum, factor.clone()));
                body.push(Stmt::Store { place, value });
            }
            body
        })]
    }

    /// Shares this thread's sums of one column in the memory of the scores.
    fn share_sums(&self, builder: &mut KernelBuilder, index: &ThreadIndex, number: i64) -> Block {
        vec![self.each_row(builder, |builder, row| {
            let mut body = Vec::new();
            let value = builder.define(&mut body, Scalar::Load(self.sum_at(row, number)));
            let place = self.shared_at(self.locals.scores, &index.group, row, &index.thread);
            body.push(Stmt::Store { place, value });
            body
        })]
    }

    /// Adds the sums of one column of all groups and stores the results, the rows divided among the groups.
    fn store_sums(&self, builder: &mut KernelBuilder, index: &ThreadIndex, number: i64) -> Block {
        vec![self.each_row(builder, |builder, row| {
            let (mut body, mut sum) = (Vec::new(), float(0.0));
            for group in (0..self.shape.groups).map(Dim::constant) {
                let place = self.shared_at(self.locals.scores, &group, row, &index.thread);
                let of_group = builder.define(&mut body, Scalar::Load(place));
                sum = builder.define(&mut body, Scalar::Binary(BinaryOp::Add, sum, of_group));
            }
            body.extend(self.store_result(builder, row, &column_of(&index.thread, number), sum));
            let distance = row.modulo(self.shape.groups) - index.group.clone();
            when(Cond(vec![distance.clone(), -distance]), body)
        })]
    }
}
