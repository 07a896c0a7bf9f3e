//! Offsets of buffers in one arena, for sizes that may be symbolic.
//!
//! Buffers that live at the same time must not overlap. At size hints a best-fit placement is found; what is kept of it is
//! only which of two conflicting buffers lies below the other. The offset of a buffer is then the largest end of those below
//! it, an expression that is right for all sizes and equal to that placement at size hints.

use crate::size_hint::size_hint;
use lostwax_ir::dim::Dim;
use lostwax_ir::random::Random;

/// Offsets and sizes are multiples of this many bytes.
pub const ALIGNMENT: i64 = 64;

/// One buffer: its size and the steps from the one that first writes it to the one that last reads it, inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Bytes.
    pub size: Dim,
    /// The first step that uses it.
    pub first: usize,
    /// The last step that uses it.
    pub last: usize,
}

impl Lifetime {
    fn overlaps(&self, other: &Lifetime) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The size rounded up to the alignment.
    pub fn aligned_size(&self) -> Dim {
        self.size.ceil_div(ALIGNMENT) * ALIGNMENT.into()
    }
}

/// The placement of all buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// For each buffer those that must end before it starts: its offset is the largest of their ends, 0 if there is none.
    pub below: Vec<Vec<usize>>,
    /// The buffers in an order in which offsets can be computed.
    pub order: Vec<usize>,
    /// Sums of sizes that live at once; the largest is the least memory that any placement needs.
    pub live: Vec<Dim>,
}

/// Places buffers in one arena.
pub fn plan_memory(buffers: &[Lifetime]) -> MemoryPlan {
    let sizes: Vec<i64> = buffers.iter().map(|buffer| size_hint(&buffer.aligned_size()).max(0)).collect();
    let offsets = place(buffers, &sizes);
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|index| (offsets[*index], *index));
    let mut below = vec![Vec::new(); buffers.len()];
    for (position, index) in order.iter().enumerate() {
        let lower = order[..position].iter().copied().filter(|other| buffers[*other].overlaps(&buffers[*index]));
        below[*index] = nearest(lower.collect(), &below);
    }
    MemoryPlan { below, order, live: live_sets(buffers) }
}

/// Placements that are tried for one arena, divided by the square of the number of buffers.
const SEARCH_EFFORT: usize = 4_000_000;

/// Offsets with a small total: the best of several orders of placement, improved by swapping buffers in that order until the
/// total is the least possible or the effort is spent.
fn place(buffers: &[Lifetime], sizes: &[i64]) -> Vec<i64> {
    let bound = largest_live(buffers, sizes);
    let mut order =
        starting_orders(buffers, sizes).into_iter().min_by_key(|order| total(buffers, sizes, order)).unwrap_or_default();
    let mut best = total(buffers, sizes, &order);
    let tries = (SEARCH_EFFORT / (buffers.len() * buffers.len()).max(1)).clamp(20, 1000);
    let mut random = Random::new(1);
    for _ in 0..tries {
        if best <= bound || order.len() < 2 {
            break;
        }
        let (a, b) = (random.size(0, order.len() - 1), random.size(0, order.len() - 1));
        order.swap(a, b);
        let candidate = total(buffers, sizes, &order);
        if candidate <= best {
            best = candidate;
        } else {
            order.swap(a, b);
        }
    }
    place_in_order(buffers, sizes, &order)
}

/// The bytes that live at the busiest step.
fn largest_live(buffers: &[Lifetime], sizes: &[i64]) -> i64 {
    let at = |step: usize| {
        let live = buffers.iter().zip(sizes).filter(|(buffer, _)| buffer.first <= step && step <= buffer.last);
        live.map(|(_, size)| size).sum()
    };
    buffers.iter().map(|buffer| at(buffer.first)).max().unwrap_or(0)
}

/// Orders worth trying: large buffers first, long-lived ones first, both together, and by time.
fn starting_orders(buffers: &[Lifetime], sizes: &[i64]) -> Vec<Vec<usize>> {
    let span = |index: usize| (buffers[index].last - buffers[index].first + 1) as i64;
    let keys: [&dyn Fn(usize) -> i64; 4] =
        [&|index| -sizes[index], &|index| -span(index), &|index| -sizes[index].saturating_mul(span(index)), &|index| {
            buffers[index].first as i64
        }];
    let sorted = |key: &dyn Fn(usize) -> i64| {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|index| (key(*index), buffers[*index].first, *index));
        order
    };
    keys.into_iter().map(sorted).collect()
}

fn total(buffers: &[Lifetime], sizes: &[i64], order: &[usize]) -> i64 {
    place_in_order(buffers, sizes, order).iter().zip(sizes).map(|(offset, size)| offset + size).max().unwrap_or(0)
}

/// The tightest free offset for each buffer, one after another.
fn place_in_order(buffers: &[Lifetime], sizes: &[i64], order: &[usize]) -> Vec<i64> {
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    for index in order.iter().copied() {
        let mut taken: Vec<(i64, i64)> = placed
            .iter()
            .filter(|other| buffers[**other].overlaps(&buffers[index]))
            .map(|other| (offsets[*other], offsets[*other] + sizes[*other]))
            .collect();
        taken.sort_unstable();
        offsets[index] = best_gap(&taken, sizes[index]);
        placed.push(index);
    }
    offsets
}

/// The start of the tightest gap between the taken ranges that `size` fits in, or the end of them all.
fn best_gap(taken: &[(i64, i64)], size: i64) -> i64 {
    let mut end = 0;
    let mut best: Option<(i64, i64)> = None;
    for (start, stop) in taken {
        let gap = start - end;
        if gap >= size && best.is_none_or(|(tightest, _)| gap < tightest) {
            best = Some((gap, end));
        }
        end = end.max(*stop);
    }
    best.map_or(end, |(_, start)| start)
}

/// Drops those buffers that another one of the list lies above: its end is at least theirs.
fn nearest(lower: Vec<usize>, below: &[Vec<usize>]) -> Vec<usize> {
    let covered = |index: &usize| lower.iter().any(|other| below[*other].contains(index));
    lower.iter().copied().filter(|index| !covered(index)).collect()
}

/// The sizes that live at once, without those that are provably not the largest.
fn live_sets(buffers: &[Lifetime]) -> Vec<Dim> {
    let mut steps: Vec<usize> = buffers.iter().map(|buffer| buffer.first).collect();
    steps.sort_unstable();
    steps.dedup();
    let mut largest: Vec<Dim> = Vec::new();
    for step in steps {
        let live = buffers.iter().filter(|buffer| buffer.first <= step && step <= buffer.last);
        let total = live.fold(Dim::default(), |total, buffer| total + buffer.aligned_size());
        if !largest.iter().any(|known| total.prove_le(known) == Some(true)) {
            largest.retain(|known| known.prove_le(&total) != Some(true));
            largest.push(total);
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::dim::{Bindings, Symbol};
    use proptest::prelude::*;

    fn offsets(buffers: &[Lifetime], plan: &MemoryPlan, bindings: &Bindings) -> Vec<i64> {
        let size = |index: usize| buffers[index].aligned_size().eval(bindings).unwrap();
        let mut offsets = vec![0; buffers.len()];
        for index in &plan.order {
            offsets[*index] = plan.below[*index].iter().map(|other| offsets[*other] + size(*other)).max().unwrap_or(0);
        }
        offsets
    }

    fn any_buffers() -> impl Strategy<Value = Vec<Lifetime>> {
        let buffer = (1i64..500, 0i64..3, 0usize..12, 0usize..5).prop_map(|(base, scale, first, length)| {
            let h = Dim::symbol(&Symbol::new("h", 1, 1000));
            Lifetime { size: Dim::constant(base) + h * Dim::constant(scale * base), first, last: first + length }
        });
        prop::collection::vec(buffer, 1..24)
    }

    proptest! {
        #[test]
        fn live_buffers_never_overlap(buffers in any_buffers(), h in 1i64..1000) {
            let plan = plan_memory(&buffers);
            let bindings = Bindings::from([("h".to_string(), h)]);
            let offsets = offsets(&buffers, &plan, &bindings);
            let end = |i: usize| offsets[i] + buffers[i].aligned_size().eval(&bindings).unwrap();
            for i in 0..buffers.len() {
                for j in 0..i {
                    if buffers[i].overlaps(&buffers[j]) {
                        prop_assert!(end(i) <= offsets[j] || end(j) <= offsets[i]);
                    }
                }
            }
            let bound = plan.live.iter().filter_map(|live| live.eval(&bindings)).max().unwrap();
            let total = (0..buffers.len()).map(end).max().unwrap();
            prop_assert!(bound <= total);
        }
    }

    #[test]
    fn search_reaches_the_bound_where_the_largest_first_order_does_not() {
        let buffer = |size: i64, first, last| Lifetime { size: (size * ALIGNMENT).into(), first, last };
        let buffers = [buffer(4, 0, 1), buffer(3, 1, 3), buffer(5, 2, 2), buffer(4, 3, 4), buffer(2, 0, 4)];
        let sizes: Vec<i64> = buffers.iter().map(|buffer| size_hint(&buffer.aligned_size())).collect();
        let offsets = place(&buffers, &sizes);
        let total = offsets.iter().zip(&sizes).map(|(offset, size)| offset + size).max().unwrap();
        assert_eq!(total, largest_live(&buffers, &sizes));
    }

    #[test]
    fn memory_is_reused_once_a_buffer_is_dead() {
        let buffer = |first, last| Lifetime { size: 1024.into(), first, last };
        let buffers = [buffer(0, 1), buffer(1, 2), buffer(2, 3)];
        let plan = plan_memory(&buffers);
        let offsets = offsets(&buffers, &plan, &Bindings::new());
        assert_eq!(offsets[0], offsets[2]);
        assert_ne!(offsets[0], offsets[1]);
    }
}
