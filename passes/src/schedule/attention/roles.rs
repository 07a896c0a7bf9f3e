//! Which loops of a weighted sum are rows, keys and columns, and which keys rows see.

use crate::schedule::build::Context;
use crate::schedule::nest::{Nest, body_loads};
use lostwax_ir::compute::{Axis, Body, Softmax};
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::kernel::Cond;

/// The roles of the loops of a weighted sum.
pub(super) struct Roles<'a> {
    pub(super) nest: &'a Nest,
    pub(super) weight: &'a Softmax,
    /// The reduced loops.
    pub(super) keys: &'a [Axis],
    /// The values that are weighted.
    pub(super) value: &'a Body,
    /// Loops that keys or values depend on.
    pub(super) batch: Vec<Axis>,
    /// Loops that neither keys nor values depend on.
    pub(super) rows: Vec<Axis>,
    /// The loop that only values depend on; none if there is one column.
    pub(super) columns: Vec<Axis>,
    /// Which keys rows see; `None` if that follows no lines.
    pub(super) limits: Option<Limits>,
}

/// The first and the last key that a row attends to, over the counters of rows and batch. Neither falls from a row to the next.
pub(super) struct Limits {
    pub(super) first: Vec<Dim>,
    pub(super) last: Vec<Dim>,
}

/// Whether the nest is a sum weighted by a softmax.
pub fn is_weighted(nest: &Nest) -> bool {
    weighted(nest).is_some()
}

/// Whether neighbouring lanes read neighbouring elements: of keys along the reduced loop, of values along the columns.
pub(in crate::schedule) fn reads_contiguously(nest: &Nest) -> bool {
    let Some(roles) = weighted(nest) else { return false };
    let neighbours = |body: &Body, axes: &[Axis]| {
        let (Some(axis), mut loads) = (axes.last(), body_loads(body)) else { return true };
        loads.all(|(index, _)| index.affine_in(&axis.symbol).is_some_and(|(stride, _)| stride.is(0) || stride.is(1)))
    };
    neighbours(&roles.weight.right, roles.keys) && neighbours(roles.value, &roles.columns)
}

fn weighted(nest: &Nest) -> Option<Roles<'_>> {
    let reduction = nest.reduction.as_ref()?;
    Some(Roles::new(nest, &reduction.axes, &reduction.value, reduction.weight.as_ref()?))
}

impl<'a> Roles<'a> {
    pub(super) fn new(nest: &'a Nest, keys: &'a [Axis], value: &'a Body, weight: &'a Softmax) -> Self {
        let columns: Vec<Axis> = nest
            .axes
            .iter()
            .filter(|axis| nest.writes_neighbours(axis) && !weight.mentions(&axis.symbol))
            .take(1)
            .cloned()
            .collect();
        let is_row = |axis: &&Axis| !weight.right.mentions(&axis.symbol) && !value.mentions(&axis.symbol);
        let others = || nest.axes.iter().filter(|axis| !columns.contains(axis));
        let rows: Vec<Axis> = others().filter(is_row).cloned().collect();
        let batch = others().filter(|axis| !is_row(axis)).cloned().collect();
        let limits = Limits::new(&weight.valid, keys, &rows);
        Self { nest, weight, keys, value, batch, rows, columns, limits }
    }

    pub(super) fn row_count(&self) -> Dim {
        count(&self.rows)
    }

    pub(super) fn key_count(&self) -> Dim {
        count(self.keys)
    }

    pub(super) fn depth(&self) -> Dim {
        count(&self.weight.axes)
    }

    pub(super) fn column_count(&self) -> Dim {
        count(&self.columns)
    }

    /// The keys that the rows from `top` to `bottom` see, in blocks of a size.
    pub(super) fn attended_keys(&self, top: &Context<'_>, bottom: &Context<'_>, size: i64) -> Keys {
        let limits = self.limits.iter();
        let first = limits.clone().flat_map(|limits| &limits.first).map(|bound| top.dim(bound));
        let last = limits.flat_map(|limits| &limits.last).map(|bound| bottom.dim(bound));
        let begin = first.fold(Dim::default(), |begin, bound| begin.maximum(bound));
        let end = last.fold(self.key_count(), |end, bound| end.minimum(bound + 1.into())).maximum(0);
        let first_block = begin.floor_div(size);
        Keys { blocks: end.ceil_div(size) - first_block.clone(), first_block, end }
    }
}

/// The keys that some rows see, in blocks.
pub(super) struct Keys {
    /// The first block.
    pub(super) first_block: Dim,
    /// The number of blocks.
    pub(super) blocks: Dim,
    /// The key after the last one that any of the rows attends to.
    pub(super) end: Dim,
}

impl Limits {
    fn new(valid: &Cond, keys: &[Axis], rows: &[Axis]) -> Option<Self> {
        let mut limits = Self { first: Vec::new(), last: Vec::new() };
        for part in &valid.0 {
            let [key] = keys else { return None };
            let (stride, rest) = part.affine_in(&key.symbol)?;
            let (bounds, bound) = match stride.as_constant()? {
                -1 => (&mut limits.last, rest),
                1 => (&mut limits.first, -rest),
                _ => return None,
            };
            bounds.push(bound);
        }
        let all = || limits.first.iter().chain(&limits.last);
        all().all(|bound| never_falls(bound, rows)).then_some(limits)
    }
}

/// Whether a bound does not fall from row to row: only the outermost loop moves it, and upwards.
fn never_falls(bound: &Dim, rows: &[Axis]) -> bool {
    let Some((outermost, others)) = rows.split_first() else { return true };
    let slope = bound.affine_in(&outermost.symbol).and_then(|(slope, _)| slope.as_constant());
    slope.is_some_and(|slope| slope >= 0) && others.iter().all(|axis| !bound.mentions(&axis.symbol))
}

fn count(axes: &[Axis]) -> Dim {
    product(axes.iter().map(|axis| &axis.extent))
}
