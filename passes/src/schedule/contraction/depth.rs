//! Loops along the depth of a contraction whose columns are decoded.

use super::tiles::{Position, Tiles};
use crate::schedule::build::{Block, Context, KernelBuilder, for_loop};
use lostwax_ir::compute::Step;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferId, LoopKind, Stmt};
use std::collections::BTreeSet;

/// The loops along the depth: groups, and in them steps of `period`, which are expanded.
pub(super) struct Depth {
    groups: Dim,
    steps: Dim,
    group: i64,
    period: i64,
    outer: Symbol,
    middle: Symbol,
    pub(super) inner: Symbol,
}

impl Depth {
    pub(super) fn new(builder: &mut KernelBuilder, extent: &Dim, group: i64, period: i64) -> Self {
        let (groups, steps) = (extent.floor_div(group), Dim::constant(group / period));
        let (outer, middle) = (builder.symbol("k", &groups), builder.symbol("s", &steps));
        let inner = builder.symbol("i", &period.into());
        Self { groups, steps, group, period, outer, middle, inner }
    }

    /// The position at the start of a group.
    pub(super) fn start(&self) -> Dim {
        Dim::symbol(&self.outer) * self.group.into()
    }

    /// The position in the innermost loop, with something in place of its counter.
    pub(super) fn at(&self, inner: Dim) -> Dim {
        self.start() + Dim::symbol(&self.middle) * self.period.into() + inner
    }

    /// The loops, with what happens before and after the steps of a group, and before each of them.
    pub(super) fn nest(&self, before: Block, each: Block, body: Block, after: Block) -> Stmt {
        let step = [each, vec![for_loop(&self.inner, self.period, LoopKind::Unrolled, body)]].concat();
        let steps = for_loop(&self.middle, self.steps.clone(), LoopKind::Serial, step);
        for_loop(&self.outer, self.groups.clone(), LoopKind::Serial, [before, vec![steps], after].concat())
    }
}

impl Tiles<'_> {
    /// Prefetches of what the tile of columns after this one decodes at the same places along the depth, if each element is read
    /// only once: those of a group, and those of each step in it.
    pub(super) fn prefetches<'s>(
        &self,
        position: &Position,
        context: &Context<'_>,
        steps: impl IntoIterator<Item = &'s Step> + Clone,
        depth: &Depth,
    ) -> (Block, Block) {
        let mut ahead = BTreeSet::new();
        let panels = if self.loops.row_count().is(self.tile.rows) { self.tile.panels } else { 0 };
        for (panel, at) in (0..panels).flat_map(|panel| (0..depth.period).map(move |at| (panel, at))) {
            let column = (position.panel.clone() + (self.tile.panels + panel).into()) * self.tile.panel.into();
            let context = context.clone().bind(&self.loops.column.symbol, column);
            let context = context.bind(&self.loops.depth.symbol, depth.at(at.into()));
            ahead.extend(steps.clone().into_iter().filter_map(|step| match step {
                Step::Load { input, coords, .. } => Some((*input, context.dim(coords.first()?))),
                _ => None,
            }));
        }
        let (each, once): (Vec<_>, Vec<_>) = ahead.into_iter().partition(|(_, index)| index.mentions(&depth.middle));
        let prefetch = |(input, index)| Stmt::Prefetch(BufferId(input), index);
        (once.into_iter().map(prefetch).collect(), each.into_iter().map(prefetch).collect())
    }
}
