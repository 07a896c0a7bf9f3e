//! One block of keys: scores, and values that are added.

use super::roles::Keys;
use super::{Emitter, Position, float};
use crate::schedule::build::{ALL_LANES, Block, KernelBuilder, bind, for_loop};
use lostwax_ir::compute::{Body, Step};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{Cond, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::BinaryOp;

impl Emitter<'_> {
    /// Runs over the blocks of keys that some row attends to.
    pub(super) fn blocks(&self, builder: &mut KernelBuilder, position: &Position<'_>) -> Stmt {
        let keys = self.attended_keys(position);
        let block = builder.symbol("block", &keys.blocks);
        let start = (keys.first_block + Dim::symbol(&block)) * self.tile.keys().into();
        let mut body = self.scores(builder, position, &start);
        body.extend(self.weigh(builder));
        body.extend(self.add_values(builder, position, &start, &keys.end));
        for_loop(&block, keys.blocks, LoopKind::Serial, body)
    }

    fn attended_keys(&self, position: &Position<'_>) -> Keys {
        let bottom = Dim::constant(self.tile.rows - 1);
        let (top, bottom) = (self.row_context(position, &0.into()), self.row_context(position, &bottom));
        self.roles.attended_keys(&top, &bottom, self.tile.keys())
    }

    /// Where all rows attend to all keys of the block from `start` on; `None` where that is not known.
    fn attended_whole(&self, position: &Position<'_>, start: &Dim) -> Option<Cond> {
        let limits = self.roles.limits.as_ref()?;
        let last = start.clone() + Dim::constant(self.tile.keys() - 1);
        let (top, bottom) =
            (self.row_context(position, &0.into()), self.row_context(position, &Dim::constant(self.tile.rows - 1)));
        let mut parts = Vec::new();
        if !self.roles.key_count().is_multiple_of(self.tile.keys()) {
            parts.push(self.roles.key_count() - 1.into() - last.clone());
        }
        parts.extend(limits.first.iter().map(|bound| start.clone() - bottom.dim(bound)));
        parts.extend(limits.last.iter().map(|bound| top.dim(bound) - last.clone()));
        Some(Cond(parts).simplify())
    }

    fn scores(&self, builder: &mut KernelBuilder, position: &Position<'_>, start: &Dim) -> Block {
        match self.attended_whole(position, start) {
            None => self.block_scores(builder, position, start, true),
            Some(cond) if cond.always() => self.block_scores(builder, position, start, false),
            Some(cond) => {
                let then = self.block_scores(builder, position, start, false);
                let otherwise = self.block_scores(builder, position, start, true);
                vec![Stmt::If { cond, then, otherwise }]
            }
        }
    }

    /// The scores of one block; with `partly`, of keys that are not attended too, which get the lowest.
    fn block_scores(&self, builder: &mut KernelBuilder, position: &Position<'_>, start: &Dim, partly: bool) -> Block {
        let depth = builder.symbol("d", &self.roles.depth());
        let mut step = self.load_keys(builder, position, start, &Dim::symbol(&depth), partly);
        step.push(self.multiply(builder, position, &Dim::symbol(&depth)));
        let row = builder.symbol("r", &self.tile.rows.into());
        let finish = self.each_key_vector(builder, |builder, keys| {
            self.finish_scores(builder, position, start, (&Dim::symbol(&row), keys), partly)
        });
        let clear = self.each_key_vector(builder, |_, keys| {
            vec![Stmt::Store { place: self.score_at(&Dim::symbol(&row), keys), value: float(0.0) }]
        });
        vec![
            for_loop(&row, self.tile.rows, LoopKind::Unrolled, clear),
            for_loop(&depth, self.roles.depth(), LoopKind::Serial, step),
            for_loop(&row, self.tile.rows, LoopKind::Unrolled, finish),
        ]
    }

    /// Vector loops over the keys of a block; `body` is given the position within the block.
    pub(super) fn each_key_vector(
        &self,
        builder: &mut KernelBuilder,
        mut body: impl FnMut(&mut KernelBuilder, &Dim) -> Block,
    ) -> Block {
        let lanes = self.tile.lanes;
        let vector = |at: i64| {
            let lane = builder.symbol("lane", &lanes.into());
            let inner = body(builder, &(Dim::constant(at * lanes) + Dim::symbol(&lane)));
            for_loop(&lane, lanes, ALL_LANES, inner)
        };
        (0..self.tile.key_vectors).map(vector).collect()
    }

    pub(super) fn score_at(&self, row: &Dim, key: &Dim) -> Place {
        Place::Local(self.locals.scores, row.clone() * self.tile.keys().into() + key.clone())
    }

    fn load_keys(&self, builder: &mut KernelBuilder, position: &Position<'_>, start: &Dim, depth: &Dim, partly: bool) -> Block {
        let context = bind(position.context.clone(), &self.roles.weight.axes, depth);
        self.each_key_vector(builder, |builder, key| {
            let at = start.clone() + key.clone();
            let exists = Cond(vec![self.roles.key_count() - 1.into() - at.clone()]).simplify();
            let context = bind(context.clone(), self.roles.keys, &at);
            let mut body = Vec::new();
            let right = if partly { guarded(&self.roles.weight.right, &exists) } else { self.roles.weight.right.clone() };
            let value = builder.expand(&mut body, &right, &context);
            body.push(Stmt::Store { place: Place::Local(self.locals.keys, key.clone()), value });
            body
        })
    }

    fn multiply(&self, builder: &mut KernelBuilder, position: &Position<'_>, depth: &Dim) -> Stmt {
        let row = builder.symbol("r", &self.tile.rows.into());
        let at = Dim::symbol(&row);
        let mut body = Vec::new();
        let query = match self.tile.depth {
            Some(length) => {
                let place = Place::Local(self.locals.queries, at.clone() * length.into() + depth.clone());
                builder.define(&mut body, Scalar::Load(place))
            }
            None => {
                let context = bind(self.row_context(position, &at), &self.roles.weight.axes, depth);
                builder.expand(&mut body, &self.roles.weight.left, &context)
            }
        };
        body.extend(self.each_key_vector(builder, |builder, key| {
            let factor = Place::Local(self.locals.keys, key.clone());
            multiply_add(builder, &query, factor, self.score_at(&at, key))
        }));
        for_loop(&row, self.tile.rows, LoopKind::Unrolled, body)
    }

    /// Turns sums of products into scores.
    fn finish_scores(
        &self,
        builder: &mut KernelBuilder,
        position: &Position<'_>,
        start: &Dim,
        (row, key): (&Dim, &Dim),
        partly: bool,
    ) -> Block {
        let at = start.clone() + key.clone();
        let mut body = Vec::new();
        let place = self.score_at(row, key);
        let mut context = bind(self.row_context(position, row), self.roles.keys, &at);
        context.reduced = Some(builder.define(&mut body, Scalar::Load(place.clone())));
        let mut value = builder.expand(&mut body, &self.roles.weight.score, &context);
        let exists = Cond(vec![self.roles.key_count() - 1.into() - at]);
        let attended = context.cond(&self.roles.weight.valid).and(exists).simplify();
        if partly && !attended.always() {
            value = builder.define(&mut body, Scalar::SelectIf(attended, value, float(f64::NEG_INFINITY)));
        }
        body.push(Stmt::Store { place, value });
        body
    }

    /// Adds the values of a block, weighted, to the sums.
    fn add_values(&self, builder: &mut KernelBuilder, position: &Position<'_>, start: &Dim, end: &Dim) -> Block {
        let count = (end.clone() - start.clone()).minimum(self.tile.keys());
        self.each_chunk(builder, |builder, first, vectors| {
            let (row, key) = (builder.symbol("r", &self.tile.rows.into()), builder.symbol("t", &self.tile.keys().into()));
            let (row_at, key_at) = (Dim::symbol(&row), Dim::symbol(&key));
            let (scale, keep): (Block, Block) = (0..vectors)
                .map(|vector| (self.scale_sums(builder, &row_at, first, vector), self.keep_sums(builder, &row_at, first, vector)))
                .unzip();
            let mut step = self.load_values(builder, position, first, vectors, &(start.clone() + key_at.clone()));
            step.push(self.add_weighted(builder, vectors, &key_at));
            vec![
                for_loop(&row, self.tile.rows, LoopKind::Unrolled, scale),
                for_loop(&key, count.clone(), LoopKind::Serial, step),
                for_loop(&row, self.tile.rows, LoopKind::Unrolled, keep),
            ]
        })
    }

    fn partial_at(&self, row: &Dim, column: &Dim) -> Place {
        let width = self.tile.column_vectors * self.tile.lanes;
        Place::Local(self.locals.partial, row.clone() * width.into() + column.clone())
    }

    /// Brings one vector of a row's sums into registers, scaled.
    fn scale_sums(&self, builder: &mut KernelBuilder, row: &Dim, first: &Dim, vector: i64) -> Stmt {
        let lane = builder.symbol("lane", &self.tile.lanes.into());
        let column = Dim::constant(vector * self.tile.lanes) + Dim::symbol(&lane);
        let mut body = Vec::new();
        let sum = builder.define(&mut body, Scalar::Load(self.sum_at(row, &(first.clone() + column.clone()))));
        let factor = builder.define(&mut body, Scalar::Load(Place::Local(self.locals.factors, row.clone())));
        let value = builder.define(&mut body, Scalar::Binary(BinaryOp::Mul, sum, factor));
        body.push(Stmt::Store { place: self.partial_at(row, &column), value });
        for_loop(&lane, self.tile.lanes, ALL_LANES, body)
    }

    /// Puts one vector of a row's sums back.
    fn keep_sums(&self, builder: &mut KernelBuilder, row: &Dim, first: &Dim, vector: i64) -> Stmt {
        let lane = builder.symbol("lane", &self.tile.lanes.into());
        let column = Dim::constant(vector * self.tile.lanes) + Dim::symbol(&lane);
        let mut body = Vec::new();
        let value = builder.define(&mut body, Scalar::Load(self.partial_at(row, &column)));
        body.push(Stmt::Store { place: self.sum_at(row, &(first.clone() + column)), value });
        for_loop(&lane, self.tile.lanes, ALL_LANES, body)
    }

    fn load_values(&self, builder: &mut KernelBuilder, position: &Position<'_>, first: &Dim, vectors: i64, key: &Dim) -> Block {
        let context = bind(position.context.clone(), self.roles.keys, key);
        let load = |vector: i64| {
            let within = Dim::constant(vector * self.tile.lanes);
            self.columns(builder, position, &(first.clone() + within), |builder, at, column| {
                let mut body = Vec::new();
                let context = bind(context.clone(), &self.roles.columns, column);
                let value = builder.expand(&mut body, self.roles.value, &context);
                body.push(Stmt::Store { place: Place::Local(self.locals.values, at.clone() - first.clone()), value });
                body
            })
        };
        (0..vectors).map(load).collect()
    }

    fn add_weighted(&self, builder: &mut KernelBuilder, vectors: i64, key: &Dim) -> Stmt {
        let (row, lanes) = (builder.symbol("r", &self.tile.rows.into()), self.tile.lanes);
        let at = Dim::symbol(&row);
        let mut body = Vec::new();
        let exponential = builder.define(&mut body, Scalar::Load(self.exponential_at(&at, key)));
        for vector in 0..vectors {
            let lane = builder.symbol("lane", &lanes.into());
            let column = Dim::constant(vector * lanes) + Dim::symbol(&lane);
            let value = Place::Local(self.locals.values, column.clone());
            let inner = multiply_add(builder, &exponential, value, self.partial_at(&at, &column));
            body.push(for_loop(&lane, lanes, ALL_LANES, inner));
        }
        for_loop(&row, self.tile.rows, LoopKind::Unrolled, body)
    }

    pub(super) fn exponential_at(&self, row: &Dim, key: &Dim) -> Place {
        Place::Local(self.locals.exponentials, row.clone() * self.tile.keys().into() + key.clone())
    }
}

/// `sum += factor * other`.
pub(super) fn multiply_add(builder: &mut KernelBuilder, factor: &Operand, other: Place, sum: Place) -> Block {
    let mut body = Vec::new();
    let other = builder.define(&mut body, Scalar::Load(other));
    let old = builder.define(&mut body, Scalar::Load(sum.clone()));
    let value = builder.define(&mut body, Scalar::MulAdd(factor.clone(), other, old));
    body.push(Stmt::Store { place: sum, value });
    body
}

/// The body with its loads only where a condition holds.
fn guarded(body: &Body, guard: &Cond) -> Body {
    let mut body = body.clone();
    for step in &mut body.steps {
        if let Step::Load { valid, .. } = step {
            *valid = std::mem::take(valid).and(guard.clone());
        }
    }
    body
}
