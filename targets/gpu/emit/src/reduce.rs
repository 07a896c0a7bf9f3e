//! Reductions among the threads of a workgroup.
//!
//! With subgroups, the threads of each exchange what they have, and one of each leaves the result to the first thread. Which threads
//! form a subgroup does not matter, but all of its invocations must be threads: the number of threads is a power of two, as the size
//! of subgroups is, so GPUs fill them. Without subgroups, or where the elements to reduce are not adjacent, halves are reduced in shared memory.

use crate::builder::Value;
use crate::fault::{Emit, Fault};
use crate::kernel::{Emitter, register_type};
use lostwax_device_gpu::format::Feature;
use lostwax_ir::kernel::LocalId;
use lostwax_ir::scalar::{BinaryOp, ReduceOp};
use lostwax_ir::types::DType;
use naga::{Barrier, BinaryOperator, BuiltIn, Expression, GatherMode, Scalar, ScalarKind, Statement, TypeInner};

/// What is reduced.
struct Reduction {
    op: BinaryOp,
    local: LocalId,
    dtype: DType,
    threads: i64,
    rows: i64,
}

impl Emitter<'_> {
    pub(crate) fn reduce(&mut self, op: ReduceOp, local: LocalId, stride: u32) -> Emit<()> {
        let threads = self.kernel.threads().map_or(0, i64::from);
        let found = self.kernel.locals.get(local.0 as usize);
        let (Some(decl), true) = (found, threads > 0 && stride > 0) else {
            return Fault::invalid("a reduction among threads that do not exist, or of what they do not share");
        };
        let reduction = Reduction { op: op.combine(), local, dtype: decl.dtype, threads, rows: i64::from(decl.len) / threads };
        match stride {
            1 if self.may_use(Feature::Subgroups) && decl.dtype.size() <= 4 => self.reduce_by_subgroups(&reduction),
            stride => self.reduce_by_halves(&reduction, stride.into()),
        }
    }

    fn meet(&mut self) {
        self.builder.push(Statement::ControlBarrier(Barrier::WORK_GROUP));
    }

    fn thread_number(&self) -> Emit<Value> {
        self.thread.ok_or_else(|| Fault::Invalid("threads without a number".into()))
    }

    /// Runs `body` in those threads whose number, or another one, is below a limit.
    fn below(&mut self, number: Value, limit: i64, body: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        let limit = self.constant_integer(limit)?;
        let condition = self.builder.binary(BinaryOperator::Less, number, limit);
        self.run_if(condition, body)
    }

    fn reduce_by_halves(&mut self, reduction: &Reduction, stride: i64) -> Emit<()> {
        let thread = self.thread_number()?;
        let mut half = reduction.threads / 2;
        while half >= stride {
            self.below(thread, half, |this| {
                (0..reduction.rows).try_for_each(|row| {
                    let (low, high) = (this.shared_at(reduction, row, thread, 0)?, this.shared_at(reduction, row, thread, half)?);
                    this.combine(reduction, low, high)
                })
            })?;
            self.meet();
            half /= 2;
        }
        Ok(())
    }

    /// Reduces the element behind the second pointer into that behind the first.
    fn combine(&mut self, reduction: &Reduction, low: Value, high: Value) -> Emit<()> {
        let (a, b) = (self.builder.load(low), self.builder.load(high));
        let value = self.binary(reduction.op, reduction.dtype, a, b)?;
        self.builder.store(low, value);
        Ok(())
    }

    /// The element of a row that is so far behind the one at a number.
    fn shared_at(&mut self, reduction: &Reduction, row: i64, number: Value, behind: i64) -> Emit<Value> {
        let offset = self.constant_integer(row * reduction.threads + behind)?;
        let index = self.builder.binary(BinaryOperator::Add, number, offset);
        self.shared_pointer(reduction.local, index)
    }

    fn reduce_by_subgroups(&mut self, reduction: &Reduction) -> Emit<()> {
        let thread = self.thread_number()?;
        let mut partial = Vec::new();
        for row in 0..reduction.rows {
            let own = self.shared_at(reduction, row, thread, 0)?;
            partial.push(self.exchange(reduction, own)?);
        }
        self.meet();
        let position = self.number_of(BuiltIn::SubgroupInvocationId);
        let subgroup = self.number_of(BuiltIn::SubgroupId);
        self.below(position, 1, |this| {
            (0..).zip(&partial).try_for_each(|(row, partial)| {
                let place = this.shared_at(reduction, row, subgroup, 0)?;
                let value = this.builder.load(*partial);
                this.builder.store(place, value);
                Ok(())
            })
        })?;
        self.meet();
        let count = self.number_of(BuiltIn::NumSubgroups);
        self.below(thread, 1, |this| this.collect(reduction, count))?;
        self.meet();
        Ok(())
    }

    /// An integer that each invocation is given.
    fn number_of(&mut self, built_in: BuiltIn) -> Value {
        let number = self.builder.argument(built_in, TypeInner::Scalar(Scalar::U32));
        self.builder.convert(number, ScalarKind::Sint, Some(4))
    }

    /// A variable with what the threads of the subgroup have, reduced.
    fn exchange(&mut self, reduction: &Reduction, own: Value) -> Emit<Value> {
        let ty = self.builder.scalar_type(register_type(reduction.dtype)?);
        let partial = self.builder.variable(ty);
        let value = self.builder.load(own);
        self.builder.store(partial, value);
        let size = self.number_of(BuiltIn::SubgroupSize);
        let mut distance = 1;
        while distance < reduction.threads {
            let limit = self.constant_integer(distance)?;
            let condition = self.builder.binary(BinaryOperator::Less, limit, size);
            self.run_if(condition, |this| {
                let argument = this.builder.load(partial);
                let mask = this.builder.uint(distance as u32);
                let result = this.builder.constant(Expression::SubgroupOperationResult { ty });
                let mode = GatherMode::ShuffleXor(mask);
                this.builder.push(Statement::SubgroupGather { mode, argument, result });
                let value = this.binary(reduction.op, reduction.dtype, argument, result)?;
                this.builder.store(partial, value);
                Ok(())
            })?;
            distance *= 2;
        }
        Ok(partial)
    }

    /// Reduces what each subgroup has left.
    fn collect(&mut self, reduction: &Reduction, count: Value) -> Emit<()> {
        let zero = self.builder.int(0);
        let rest = self.builder.int(1);
        let rest = self.builder.binary(BinaryOperator::Subtract, count, rest);
        self.repeat(rest, |this, position| {
            (0..reduction.rows).try_for_each(|row| {
                let first = this.shared_at(reduction, row, zero, 0)?;
                let other = this.shared_at(reduction, row, position, 1)?;
                this.combine(reduction, first, other)
            })
        })
    }
}
