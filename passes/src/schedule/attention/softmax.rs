//! From scores to exponentials: the largest score so far, what it changes, and totals.

use super::Emitter;
use super::tile::Tile;
use crate::schedule::build::{ALL_LANES, Block, KernelBuilder, for_loop};
use crate::schedule::reduce::combine_lanes;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};

impl Tile {
    /// Lanes of a vector with one for each row.
    pub(super) fn row_lanes(&self) -> i64 {
        (self.rows.max(1) as u64).next_power_of_two() as i64
    }
}

/// The larger of two, the first where they cannot be compared: one instruction, where a maximum that keeps NaN is several. What is
/// not a number in a score is not in its exponential either.
pub(super) fn larger(builder: &mut KernelBuilder, block: &mut Block, a: Operand, b: Operand) -> Operand {
    let less = builder.define(block, Scalar::Binary(BinaryOp::Lt, a.clone(), b.clone()));
    builder.define(block, Scalar::Select(less, b, a))
}

fn sum(builder: &mut KernelBuilder, block: &mut Block, a: Operand, b: Operand) -> Operand {
    builder.define(block, Scalar::Binary(BinaryOp::Add, a, b))
}

impl Emitter<'_> {
    /// Turns the scores of a block into exponentials and adds them to the totals.
    pub(super) fn weigh(&self, builder: &mut KernelBuilder) -> Block {
        let row = builder.symbol("r", &self.tile.rows.into());
        let mut block = vec![self.begin_largest(builder)];
        let body = self.find_largest(builder, &Dim::symbol(&row));
        block.push(for_loop(&row, self.tile.rows, LoopKind::Unrolled, body));
        block.push(self.set_factors(builder));
        let body = self.set_exponentials(builder, &Dim::symbol(&row));
        block.push(for_loop(&row, self.tile.rows, LoopKind::Unrolled, body));
        block
    }

    fn maximum_at(&self, row: &Dim) -> Place {
        Place::Local(self.locals.maxima, row.clone())
    }

    fn largest_at(&self, row: &Dim) -> Place {
        Place::Local(self.locals.largest, row.clone())
    }

    fn lane_at(&self, lane: Dim) -> Place {
        Place::Local(self.locals.lanes, lane)
    }

    fn begin_largest(&self, builder: &mut KernelBuilder) -> Stmt {
        let lane = builder.symbol("lane", &self.tile.row_lanes().into());
        let mut body = Vec::new();
        let value = builder.define(&mut body, Scalar::Load(self.maximum_at(&Dim::symbol(&lane))));
        body.push(Stmt::Store { place: self.largest_at(&Dim::symbol(&lane)), value });
        for_loop(&lane, self.tile.row_lanes(), ALL_LANES, body)
    }

    fn find_largest(&self, builder: &mut KernelBuilder, row: &Dim) -> Block {
        let lane = builder.symbol("lane", &self.tile.lanes.into());
        let mut body = Vec::new();
        let score = |vector: i64| self.score_at(row, &(Dim::constant(vector * self.tile.lanes) + Dim::symbol(&lane)));
        let mut value = builder.define(&mut body, Scalar::Load(score(0)));
        for vector in 1..self.tile.key_vectors {
            let next = builder.define(&mut body, Scalar::Load(score(vector)));
            value = larger(builder, &mut body, value, next);
        }
        body.push(Stmt::Store { place: self.lane_at(Dim::symbol(&lane)), value });
        let mut block = vec![for_loop(&lane, self.tile.lanes, ALL_LANES, body)];
        block.extend(combine_lanes(builder, self.locals.lanes, self.tile.lanes, larger));
        let old = builder.define(&mut block, Scalar::Load(self.largest_at(row)));
        let new = builder.define(&mut block, Scalar::Load(self.lane_at(Dim::default())));
        let value = larger(builder, &mut block, old, new);
        block.push(Stmt::Store { place: self.largest_at(row), value });
        block
    }

    /// What sums so far are scaled by, for all rows at once.
    fn set_factors(&self, builder: &mut KernelBuilder) -> Stmt {
        let lane = builder.symbol("lane", &self.tile.row_lanes().into());
        let row = Dim::symbol(&lane);
        let mut body = Vec::new();
        let old = builder.define(&mut body, Scalar::Load(self.maximum_at(&row)));
        let new = builder.define(&mut body, Scalar::Load(self.largest_at(&row)));
        let difference = builder.define(&mut body, Scalar::Binary(BinaryOp::Sub, old, new.clone()));
        let value = builder.define(&mut body, Scalar::Unary(UnaryOp::Exp, difference));
        body.push(Stmt::Store { place: Place::Local(self.locals.factors, row.clone()), value });
        body.push(Stmt::Store { place: self.maximum_at(&row), value: new });
        for_loop(&lane, self.tile.row_lanes(), ALL_LANES, body)
    }

    fn set_exponentials(&self, builder: &mut KernelBuilder, row: &Dim) -> Block {
        let lane = builder.symbol("lane", &self.tile.lanes.into());
        let total = Place::Local(self.locals.totals, row.clone() * self.tile.lanes.into() + Dim::symbol(&lane));
        let mut body = Vec::new();
        let largest = builder.define(&mut body, Scalar::Load(self.largest_at(row)));
        let factor = builder.define(&mut body, Scalar::Load(Place::Local(self.locals.factors, row.clone())));
        let old = builder.define(&mut body, Scalar::Load(total.clone()));
        let mut value = builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, old, factor));
        for vector in 0..self.tile.key_vectors {
            let key = Dim::constant(vector * self.tile.lanes) + Dim::symbol(&lane);
            let score = builder.define(&mut body, Scalar::Load(self.score_at(row, &key)));
            let difference = builder.define(&mut body, Scalar::Binary(BinaryOp::Sub, score, largest.clone()));
            let exponential = builder.define(&mut body, Scalar::Unary(UnaryOp::Exp, difference));
            body.push(Stmt::Store { place: self.exponential_at(row, &key), value: exponential.clone() });
            value = sum(builder, &mut body, value, exponential);
        }
        body.push(Stmt::Store { place: total, value });
        vec![for_loop(&lane, self.tile.lanes, ALL_LANES, body)]
    }

    /// Brings the total of a row to the first lane.
    pub(super) fn total(&self, builder: &mut KernelBuilder, row: &Dim) -> Block {
        let lane = builder.symbol("lane", &self.tile.lanes.into());
        let mut body = Vec::new();
        let place = Place::Local(self.locals.totals, row.clone() * self.tile.lanes.into() + Dim::symbol(&lane));
        let value = builder.define(&mut body, Scalar::Load(place));
        body.push(Stmt::Store { place: self.lane_at(Dim::symbol(&lane)), value });
        let mut block = vec![for_loop(&lane, self.tile.lanes, ALL_LANES, body)];
        block.extend(combine_lanes(builder, self.locals.lanes, self.tile.lanes, sum));
        block
    }
}
