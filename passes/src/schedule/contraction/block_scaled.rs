//! Sums whose terms are computed from rows and columns together, such as those of products of quantized groups.
//!
//! At each step along the depth, what depends on columns alone is computed once for all rows of a tile and kept in registers, what
//! depends on a row alone once for all columns; only the rest is computed for each pair.

use super::depth::Depth;
use super::roles::{Loops, fills_panels, lies_in_panels, needed};
use super::tile::{Tile, choose_block_scaled_tile};
use super::tiles::{Grid, Position, Tiles};
use crate::schedule::Scheduled;
use crate::schedule::build::{Block, Context, KernelBuilder, for_loop};
use crate::schedule::nest::Nest;
use lostwax_ir::compute::{Axis, Body, Step, StepId};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{BufferDecl, LocalId, LoopKind, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, ReduceOp};
use lostwax_ir::types::DType;
use lostwax_target_api::Caps;
use std::collections::BTreeMap;

/// A sum over one loop of a value that is computed from rows and columns.
#[derive(Clone, Debug)]
pub(in crate::schedule) struct BlockScaled {
    pub(in crate::schedule) loops: Loops,
    body: Body,
    /// What each step of the body depends on.
    sides: Vec<Side>,
}

/// What a value depends on, beside the depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::schedule) struct Side {
    row: bool,
    column: bool,
}

impl Side {
    pub(in crate::schedule) const ROW: Self = Self { row: true, column: false };
    pub(in crate::schedule) const COLUMN: Self = Self { row: false, column: true };
    pub(in crate::schedule) const NEITHER: Self = Self { row: false, column: false };

    fn or(self, other: Self) -> Self {
        Self { row: self.row || other.row, column: self.column || other.column }
    }

    pub(in crate::schedule) fn is_both(self) -> bool {
        self.row && self.column
    }
}

/// The roles of the nest's loops, if it is a sum of integer dot products of this form.
pub(in crate::schedule) fn analyze(nest: &Nest) -> Option<BlockScaled> {
    let reduction = nest.reduction.as_ref().filter(|reduction| reduction.op == ReduceOp::Sum && reduction.dtype == DType::F32)?;
    let ([depth], body) = (reduction.axes.as_slice(), &reduction.value) else { return None };
    let computes = body.steps.iter().all(|step| !matches!(step, Step::Dynamic(..) | Step::Reduced | Step::SelectIf(..)));
    if !computes || !body.steps.iter().any(|step| matches!(step, Step::Dot4(..))) {
        return None;
    }
    let column = nest.axes.iter().filter(|axis| body.mentions(&axis.symbol)).find(|axis| nest.writes_neighbours(axis))?.clone();
    let of_columns = only_loads(body, |index| index.mentions(&column.symbol));
    let of_rows = only_loads(body, |index| !index.mentions(&column.symbol));
    let is_row = |axis: &&Axis| of_rows.mentions(&axis.symbol) && !of_columns.mentions(&axis.symbol);
    let rows: Vec<Axis> = nest.axes.iter().filter(is_row).cloned().collect();
    let batch = nest.axes.iter().filter(|axis| **axis != column && !rows.contains(axis)).cloned().collect();
    let loops = Loops { batch, rows, column, taps: Vec::new(), depth: depth.clone() };
    let sides = sides(body, &loops)?;
    Some(BlockScaled { loops, body: body.clone(), sides })
}

fn only_loads(body: &Body, wanted: impl Fn(&Dim) -> bool) -> Body {
    let is_wanted = |step: &&Step| matches!(step, Step::Load { coords, .. } if coords.first().is_some_and(&wanted));
    Body { steps: body.steps.iter().filter(is_wanted).cloned().collect() }
}

/// What each step depends on; `None` if an element cannot be read once for a panel or a row.
fn sides(body: &Body, loops: &Loops) -> Option<Vec<Side>> {
    let mut sides: Vec<Side> = Vec::with_capacity(body.steps.len());
    for step in &body.steps {
        let of_operands =
            step.operands().iter().filter_map(|id| sides.get(id.0 as usize)).fold(Side::default(), |all, side| all.or(*side));
        sides.push(of_operands.or(own_side(step, loops)?));
    }
    Some(sides)
}

fn own_side(step: &Step, loops: &Loops) -> Option<Side> {
    let dims = step.dims();
    let mentions = |axis: &Axis| dims.iter().any(|dim| dim.mentions(&axis.symbol));
    let side = Side { row: loops.rows.iter().any(mentions), column: mentions(&loops.column) };
    match step {
        Step::Load { coords, valid, .. } if side.column => {
            let index = coords.first()?;
            let fits = !side.row && valid.always() && lies_in_panels(index, &loops.column) && fills_panels(index, &loops.column);
            fits.then_some(Side::COLUMN)
        }
        Step::Load { valid, .. } => valid.always().then_some(Side::ROW),
        _ => (!side.is_both()).then_some(side),
    }
}

impl BlockScaled {
    fn side(&self, id: StepId) -> Side {
        self.sides.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// The terms that are summed: two factors, or one value.
    fn terms(&self) -> Vec<(StepId, Option<StepId>)> {
        let (mut pending, mut terms): (Vec<StepId>, _) = (self.body.result().into_iter().collect(), Vec::new());
        while let Some(id) = pending.pop() {
            match self.body.steps.get(id.0 as usize) {
                Some(Step::Binary(BinaryOp::Add, x, y)) if self.side(id).is_both() => pending.extend([*x, *y]),
                Some(Step::Binary(BinaryOp::Mul, x, y)) if self.side(id).is_both() => terms.push((*x, Some(*y))),
                _ => terms.push((id, None)),
            }
        }
        terms
    }

    /// The steps that the terms are made from.
    fn ends(&self) -> impl Iterator<Item = StepId> {
        self.terms().into_iter().flat_map(|(x, y)| [Some(x), y]).flatten()
    }

    /// The steps that are needed for the terms, in order.
    fn needed(&self) -> Vec<StepId> {
        let needed = needed(&self.body.steps, self.ends().collect());
        (0..).zip(needed).filter(|(_, needed)| *needed).map(|(id, _)| StepId(id)).collect()
    }

    /// The values of a side that pairs are computed from.
    pub(in crate::schedule) fn held(&self, side: Side) -> Vec<StepId> {
        let of_pairs = self.needed().into_iter().filter(|id| self.side(*id).is_both());
        let operands = of_pairs.filter_map(|id| self.body.steps.get(id.0 as usize)).flat_map(Step::operands);
        let mut held: Vec<StepId> = operands.chain(self.ends()).filter(|id| self.side(*id) == side).collect();
        held.sort();
        held.dedup();
        held
    }

    /// The type of a step.
    pub(in crate::schedule) fn dtype(&self, builder: &KernelBuilder, id: StepId) -> DType {
        let dtypes = self.body.dtypes(|input| builder.dtype(input), DType::F32);
        dtypes.get(id.0 as usize).copied().unwrap_or(DType::F32)
    }

    /// No known values.
    pub(in crate::schedule) fn undefined_values(&self) -> Values {
        Values(vec![Operand::Int(DType::I32, 0); self.body.steps.len()])
    }

    /// Appends the needed steps of some sides; those that they use are known.
    pub(in crate::schedule) fn expand(
        &self,
        builder: &mut KernelBuilder,
        block: &mut Block,
        context: &Context<'_>,
        values: &mut Values,
        wanted: impl Fn(Side) -> bool,
    ) {
        let mut dynamic = BTreeMap::new();
        for id in self.needed().into_iter().filter(|id| wanted(self.side(*id))) {
            let Some(step) = self.body.steps.get(id.0 as usize) else { continue };
            let value = builder.expand_step(block, step, context, &values.0, &mut dynamic);
            values.set(id, value);
        }
    }

    /// Appends the sum at a place and the terms of a pair.
    pub(in crate::schedule) fn add_terms(&self, builder: &mut KernelBuilder, block: &mut Block, values: &Values, place: Place) {
        let mut sum = builder.define(block, Scalar::Load(place.clone()));
        for (x, y) in self.terms() {
            let next = match y {
                Some(y) => Scalar::MulAdd(values.get(x), values.get(y), sum),
                None => Scalar::Binary(BinaryOp::Add, sum, values.get(x)),
            };
            sum = builder.define(block, next);
        }
        block.push(Stmt::Store { place, value: sum });
    }
}

/// Values by the position of their step.
#[derive(Clone)]
pub(in crate::schedule) struct Values(Vec<Operand>);

impl Values {
    pub(in crate::schedule) fn get(&self, id: StepId) -> Operand {
        self.0.get(id.0 as usize).cloned().unwrap_or(Operand::Int(DType::I32, 0))
    }

    pub(in crate::schedule) fn set(&mut self, id: StepId, value: Operand) {
        if let Some(slot) = self.0.get_mut(id.0 as usize) {
            *slot = value;
        }
    }
}

/// Builds the kernel.
pub(in crate::schedule) fn schedule(
    name: &str,
    nest: &Nest,
    block_scaled: &BlockScaled,
    buffers: Vec<BufferDecl>,
    caps: &Caps,
) -> Scheduled {
    let tile = choose_block_scaled_tile(block_scaled, caps);
    let mut builder = KernelBuilder::new(buffers);
    let grid = Grid::new(&block_scaled.loops, &tile);
    let item = builder.symbol("item", &grid.count());
    let emitter = Emitter::new(&mut builder, nest, block_scaled, tile);
    let tile = |builder: &mut KernelBuilder, position: &Position| emitter.tile(builder, position);
    let body = emitter.tiles.item(&mut builder, &grid, &Dim::symbol(&item), &tile);
    Scheduled { kernel: builder.finish(name, item, grid.count(), body), packing: Vec::new(), slow: None }
}

/// Emits one sum.
struct Emitter<'a> {
    tiles: Tiles<'a>,
    block_scaled: &'a BlockScaled,
    /// Where values of columns are kept, for each column of a tile.
    held: BTreeMap<StepId, LocalId>,
}

impl<'a> Emitter<'a> {
    fn new(builder: &mut KernelBuilder, nest: &'a Nest, block_scaled: &'a BlockScaled, tile: Tile) -> Self {
        let tiles = Tiles::new(builder, nest, &block_scaled.loops, tile);
        let width = (tile.panel * tile.panels) as u32;
        let mut local = |id: StepId| {
            let dtype = block_scaled.dtype(builder, id);
            builder.local("column", dtype, width)
        };
        let held = block_scaled.held(Side::COLUMN).into_iter().map(|id| (id, local(id))).collect();
        Self { tiles, block_scaled, held }
    }

    fn tile(&self, builder: &mut KernelBuilder, position: &Position) -> Block {
        let loops = &self.block_scaled.loops;
        let depth = Depth::new(builder, &loops.depth.extent, 1, 1);
        let context = self.tiles.bind_batch(Context::default(), position).bind(&loops.depth.symbol, depth.start());
        let steps = (0..)
            .zip(&self.block_scaled.body.steps)
            .filter(|(id, _)| self.block_scaled.side(StepId(*id)) == Side::COLUMN)
            .map(|(_, step)| step);
        let (once, each) = self.tiles.prefetches(position, &context, steps, &depth);
        let mut group = self.columns(builder, position, &context);
        group.push(self.rows(builder, position, &context));
        let mut block = self.tiles.clear(builder);
        block.push(depth.nest(once, each, group, Vec::new()));
        block.push(self.tiles.store(builder, position));
        block
    }

    /// Computes and keeps what depends on columns alone.
    fn columns(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Block {
        self.tiles.each_chunk(builder, |builder, block, first, lane| {
            let start = self.tiles.existing_column(position, first);
            let context = context.clone().bind(&self.block_scaled.loops.column.symbol, start + lane.clone());
            let mut values = self.block_scaled.undefined_values();
            self.block_scaled.expand(builder, block, &context, &mut values, |side| !side.row);
            block.extend(self.held.iter().map(|(id, local)| Stmt::Store {
                place: Place::Local(*local, first.clone() + lane.clone()),
                value: values.get(*id),
            }));
            None
        })
    }

    /// Computes what depends on each row, and adds its pairs with all columns.
    fn rows(&self, builder: &mut KernelBuilder, position: &Position, context: &Context<'_>) -> Stmt {
        let row = builder.symbol("r", &self.tiles.tile.rows.into());
        let at = self.tiles.existing_row(position, &row);
        let context = self.tiles.bind_rows(context.clone(), &at);
        let (mut block, mut values) = (Vec::new(), self.block_scaled.undefined_values());
        self.block_scaled.expand(builder, &mut block, &context, &mut values, |side| !side.column);
        block.extend(self.tiles.each_chunk(builder, |builder, block, first, lane| {
            let column = first.clone() + lane.clone();
            let mut values = values.clone();
            for (id, local) in &self.held {
                values.set(*id, builder.define(block, Scalar::Load(Place::Local(*local, column.clone()))));
            }
            self.block_scaled.expand(builder, block, &context, &mut values, Side::is_both);
            self.block_scaled.add_terms(builder, block, &values, self.tiles.sum_at(&Dim::symbol(&row), &column));
            None
        }));
        for_loop(&row, self.tiles.tile.rows, LoopKind::Unrolled, block)
    }
}
