//! The sizes of blocks of rows and columns that the threads of a workgroup compute together.

use super::{Workgroups, unrolled};
use crate::schedule::build::{Block, KernelBuilder};
use crate::schedule::contraction::Loops;
use crate::size_hint::size_hint;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{LocalId, Operand, Place, Stmt};
use lostwax_ir::types::DType;

/// The sizes of a block and of the part of it that one thread computes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) rows: i64,
    pub(super) columns: i64,
    /// Steps along the depth that are staged at once.
    pub(super) depth: i64,
    pub(super) thread_rows: i64,
    pub(super) thread_columns: i64,
}

impl Shape {
    pub(super) fn threads(&self) -> i64 {
        self.rows / self.thread_rows * (self.columns / self.thread_columns)
    }

    /// The sum of a row and column of a thread.
    pub(super) fn sum_at(&self, sums: LocalId, row: &Dim, column: &Dim) -> Place {
        Place::Local(sums, row.clone() * self.thread_columns.into() + column.clone())
    }

    /// Sets all sums of a thread to 0.
    pub(super) fn clear(&self, builder: &mut KernelBuilder, sums: LocalId) -> Block {
        vec![unrolled(builder, self.thread_rows * self.thread_columns, |_, at| {
            vec![Stmt::Store { place: Place::Local(sums, Dim::symbol(at)), value: Operand::float(DType::F32, 0.0) }]
        })]
    }

    /// The threads side by side in a row of the block.
    pub(super) fn across(&self) -> i64 {
        self.columns / self.thread_columns
    }
}

/// Of shapes in order of falling reuse, the first that gives the machine enough to do, or the one with
/// the most blocks; none if blocks would mostly be empty.
pub(super) fn choose(
    shapes: impl DoubleEndedIterator<Item = Shape> + Clone,
    loops: &Loops,
    caps: &Workgroups,
    shared_bytes: impl Fn(&Shape) -> i64,
) -> Option<Shape> {
    let (rows, columns) = (size_hint(&loops.row_count()), size_hint(&loops.column.extent));
    let batch: i64 = loops.batch.iter().map(|axis| size_hint(&axis.extent)).product();
    let blocks = |shape: &Shape| (rows + shape.rows - 1) / shape.rows * ((columns + shape.columns - 1) / shape.columns) * batch;
    let fits = |shape: &Shape| shape.threads() <= caps.threads && shared_bytes(shape) <= caps.scratch_bytes;
    let filled = |shape: &Shape| fits(shape) && rows * 2 > shape.rows && columns * 2 > shape.columns;
    let mut fitting = shapes.filter(filled);
    let busy = fitting.clone().find(|shape| blocks(shape) >= caps.count);
    busy.or_else(|| fitting.next_back())
}
