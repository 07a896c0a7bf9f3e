//! Which loops and loads of a sum of products are rows, columns and factors.

use crate::schedule::Argument;
use crate::schedule::nest::{Nest, NestReduction, body_loads};
use crate::size_hint::size_hint;
use lostwax_ir::compute::{Axis, Body, Step, StepId};
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::kernel::Cond;
use lostwax_ir::panels::PANEL_ROWS;
use lostwax_ir::scalar::{BinaryOp, ReduceOp};
use lostwax_ir::types::DType;

/// The loops of a contraction.
#[derive(Clone, Debug)]
pub(in crate::schedule) struct Loops {
    /// Loops that both factors depend on, or that only address the output further.
    pub(in crate::schedule) batch: Vec<Axis>,
    /// Loops that the first factor depends on.
    pub(in crate::schedule) rows: Vec<Axis>,
    /// The loop that the second factor depends on.
    pub(in crate::schedule) column: Axis,
    /// The reduced loops but the innermost.
    pub(super) taps: Vec<Axis>,
    /// The innermost reduced loop.
    pub(in crate::schedule) depth: Axis,
}

impl Loops {
    /// Loops that the second factor may depend on.
    fn of_columns(&self) -> impl Iterator<Item = &Axis> {
        self.batch.iter().chain(&self.taps).chain([&self.depth, &self.column])
    }

    /// The reduced loops, outermost first.
    pub(in crate::schedule) fn reduced(&self) -> impl Iterator<Item = &Axis> {
        self.taps.iter().chain([&self.depth])
    }

    /// The rows of the output.
    pub(in crate::schedule) fn row_count(&self) -> Dim {
        product(self.rows.iter().map(|axis| &axis.extent))
    }
}

/// The roles of the loops and factors of a sum of products.
#[derive(Clone, Debug)]
pub(in crate::schedule) struct Roles {
    /// The loops.
    pub(in crate::schedule) loops: Loops,
    /// The first factor: buffer, index, condition.
    pub(super) left: (u32, Dim, Cond),
    /// The second factor.
    pub(super) right: Right,
}

/// The second factor.
#[derive(Clone, Debug)]
pub(super) enum Right {
    /// One element: buffer and index.
    Plain(u32, Dim),
    /// A value computed from elements that lie side by side in panels of [`PANEL_ROWS`] columns, such as those of a tensor of a
    /// block format.
    Decoded {
        /// The value.
        body: Body,
        /// Steps along the depth after which everything but the elements repeats.
        period: i64,
    },
}

/// Columns below this are not worth a tile: such sums run along the depth instead.
const MIN_COLUMNS: i64 = 4;

/// Steps along the depth of a decoded factor that are expanded, at most.
const LONGEST_PERIOD: i64 = 32;

/// Whether the nest is a sum of products that the tiles of this schedule fit.
pub fn is_contraction(nest: &Nest) -> bool {
    roles(nest).is_some()
}

/// Whether the contraction reads its first factor along the depth, and its second along the columns, as neighbours.
pub fn reads_contiguously(nest: &Nest) -> bool {
    roles(nest).is_some_and(|roles| roles.left_along_depth() && roles.right_is_contiguous())
}

/// Whether the nest is a contraction whose first factor is guarded and whose innermost loop is so short that explicit padding,
/// after which loops merge, costs less than the guards.
pub fn wants_unpadded(nest: &Nest) -> bool {
    const SHORT: i64 = 8;
    roles(nest).is_some_and(|roles| !roles.left.2.always() && roles.loops.depth.extent.as_constant().is_some_and(|k| k <= SHORT))
}

/// The roles of the nest's loops, if it is a contraction that can be scheduled with these arguments.
pub(in crate::schedule) fn analyze(nest: &Nest, inputs: &[Argument]) -> Option<Roles> {
    let roles = roles(nest)?;
    let packable = roles.packable(inputs) && roles.right_loops().iter().all(|axis| axis.extent.as_constant().is_some());
    (packable || roles.right_is_contiguous()).then_some(roles)
}

fn roles(nest: &Nest) -> Option<Roles> {
    let reduction = nest.reduction.as_ref()?;
    let (left, right) = factors(reduction)?;
    let swapped = || Some((single(&right)?, left.clone()));
    let assigned = single(&left).and_then(|left| assign(nest, reduction, left, &right));
    assigned.or_else(|| swapped().and_then(|(left, right)| assign(nest, reduction, left, &right)))
}

type Factor = (u32, Dim, Cond);

/// The two factors of a sum of products, as bodies of their own.
fn factors(reduction: &NestReduction) -> Option<(Body, Body)> {
    let (last, steps) = reduction.value.steps.split_last()?;
    let Step::Binary(BinaryOp::Mul, x, y) = last else { return None };
    if reduction.op != ReduceOp::Sum || reduction.dtype != DType::F32 || reduction.weight.is_some() {
        return None;
    }
    Some((cone(steps, *x), cone(steps, *y)))
}

/// Which steps some results need.
pub(super) fn needed(steps: &[Step], mut pending: Vec<StepId>) -> Vec<bool> {
    let mut needed = vec![false; steps.len()];
    while let Some(StepId(position)) = pending.pop() {
        if let Some(slot) = needed.get_mut(position as usize).filter(|slot| !**slot) {
            *slot = true;
            pending.extend(steps[position as usize].operands());
        }
    }
    needed
}

/// The steps that `result` needs.
pub(super) fn cone(steps: &[Step], result: StepId) -> Body {
    let mut places: Vec<StepId> = Vec::with_capacity(steps.len());
    let mut body = Body::default();
    for (step, needed) in steps.iter().zip(needed(steps, vec![result])) {
        let place = if needed { body.push(step.with_operands(&|id| places[id.0 as usize])) } else { StepId(0) };
        places.push(place);
    }
    body
}

/// The factor as one element that is 0 where it does not exist.
fn single(body: &Body) -> Option<Factor> {
    match body.steps.as_slice() {
        [Step::Load { input, coords, valid, otherwise: 0 }] => Some((*input, coords.first()?.clone(), valid.clone())),
        _ => None,
    }
}

fn mentions(factor: &Factor, symbol: &Symbol) -> bool {
    factor.1.mentions(symbol) || factor.2.0.iter().any(|part| part.mentions(symbol))
}

fn assign(nest: &Nest, reduction: &NestReduction, left: Factor, right: &Body) -> Option<Roles> {
    let only_right = |axis: &&Axis| right.mentions(&axis.symbol) && !mentions(&left, &axis.symbol);
    let column = nest.axes.iter().filter(only_right).find(|axis| nest.writes_neighbours(axis))?.clone();
    let (depth, taps) = reduction.axes.split_last()?;
    let fits = size_hint(&column.extent) >= MIN_COLUMNS
        && left.1.affine_in(&depth.symbol).is_some_and(|(stride, _)| stride.as_constant().is_some_and(|s| s > 0))
        && left.2.0.iter().all(|part| !part.mentions(&depth.symbol))
        && (left.2.always() || depth.extent.as_constant().is_some());
    let second = Right::new(right, &column, depth)?;
    let is_row = |axis: &&Axis| mentions(&left, &axis.symbol) && !right.mentions(&axis.symbol);
    let rows: Vec<Axis> = nest.axes.iter().filter(is_row).cloned().collect();
    let batch = nest.axes.iter().filter(|axis| **axis != column && !rows.contains(axis)).cloned().collect();
    let loops = Loops { batch, rows, column, taps: taps.to_vec(), depth: depth.clone() };
    fits.then_some(Roles { loops, left, right: second })
}

impl Right {
    fn new(body: &Body, column: &Axis, depth: &Axis) -> Option<Self> {
        if let Some((input, index, valid)) = single(body) {
            let affine = index.affine_in(&column.symbol).is_some();
            return (affine && valid.always()).then_some(Self::Plain(input, index));
        }
        let reads = body_loads(body).all(|(index, valid)| valid.always() && lies_in_panels(index, column));
        let computes = body.steps.iter().all(|step| !matches!(step, Step::Dynamic(..) | Step::Reduced));
        let period = period(body, depth).filter(|_| reads && computes)?;
        Some(Self::Decoded { body: body.clone(), period })
    }
}

/// A loop as one over pieces of some length and one within them, and its counter as a function of theirs.
pub(super) fn cut(axis: &Axis, length: i64) -> (Axis, Axis, Dim) {
    let (outer, inner) = (Axis::new("%outer", &axis.extent.ceil_div(length)), Axis::new("%inner", &Dim::constant(length)));
    let at = outer.dim() * Dim::constant(length) + inner.dim();
    (outer, inner, at)
}

/// Whether the elements of a panel of columns are neighbours, or one.
pub(super) fn lies_in_panels(index: &Dim, column: &Axis) -> bool {
    let (_, lane, at) = cut(column, PANEL_ROWS as i64);
    let index = index.replace(&column.symbol, &at);
    index.affine_in(&lane.symbol).is_some_and(|(stride, _)| stride.is(0) || stride.is(1))
}

/// Whether elements, which lie in panels, are there for all lanes of the last panel too.
pub(super) fn fills_panels(index: &Dim, column: &Axis) -> bool {
    index.affine_in(&column.symbol).is_none_or(|(stride, _)| stride.is(0))
}

/// The fewest steps along the depth after which all but the elements repeats.
fn period(body: &Body, depth: &Axis) -> Option<i64> {
    let repeats = |period: &i64| {
        let (outer, _, at) = cut(depth, *period);
        let constant = |step: &Step| match step {
            Step::Index(dim, _) => !dim.replace(&depth.symbol, &at).mentions(&outer.symbol),
            _ => true,
        };
        depth.extent.is_multiple_of(*period) && body.steps.iter().all(constant)
    };
    [1, 2, 4, 8, 16, LONGEST_PERIOD].into_iter().find(repeats)
}

impl Roles {
    pub(super) fn right_loops(&self) -> Vec<Axis> {
        let used = |axis: &&Axis| match &self.right {
            Right::Plain(_, index) => index.mentions(&axis.symbol),
            Right::Decoded { body, .. } => body.mentions(&axis.symbol),
        };
        self.loops.of_columns().filter(used).cloned().collect()
    }

    fn right_is_contiguous(&self) -> bool {
        match &self.right {
            Right::Plain(_, index) => index.affine_in(&self.loops.column.symbol).is_some_and(|(stride, _)| stride.is(1)),
            Right::Decoded { .. } => true,
        }
    }

    /// Whether the elements of the second factor fill whole panels, past the last column too.
    pub(super) fn right_fills_panels(&self) -> bool {
        match &self.right {
            Right::Plain(..) => false,
            Right::Decoded { body, .. } => body_loads(body).all(|(index, _)| fills_panels(index, &self.loops.column)),
        }
    }

    /// Whether the second factor is a constant that may be rearranged.
    pub(super) fn packable(&self, inputs: &[Argument]) -> bool {
        match &self.right {
            Right::Plain(input, _) => inputs.get(*input as usize).is_some_and(|input| input.constant),
            Right::Decoded { .. } => false,
        }
    }
}
