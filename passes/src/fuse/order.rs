//! The order of groups: each runs after those whose results it reads, and after those that read what it overwrites.

use super::decide::aliased;
use super::states::{Next, Transfer};
use super::{Alias, Fused, Group};
use crate::schedule::View;
use lostwax_ir::compute::{Compute, Step};
use lostwax_ir::graph::{Graph, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Orders the groups. Those that nothing is overwritten for keep their order.
///
/// # Errors
/// The position in `next` of a value that cannot get into its state by the transfer that was chosen, since old contents are needed
/// after the new ones.
pub(super) fn order(graph: &Graph, fused: &mut Fused, next: &[Next]) -> Result<(), usize> {
    let order = Hazards::new(graph, fused, next).order()?;
    let mut groups: Vec<Option<Group>> = std::mem::take(&mut fused.groups).into_iter().map(Some).collect();
    fused.groups = order.into_iter().filter_map(|position| groups.get_mut(position)?.take()).collect();
    Ok(())
}

/// What a state holds: itself, or the value that it has become.
type Contents = Value;

struct Hazards<'a> {
    graph: &'a Graph,
    fused: &'a Fused,
    /// What each new contents replace, and the position of the next value that they belong to.
    replaced: BTreeMap<Contents, (Contents, usize)>,
    /// The groups that must run before each group.
    before: Vec<BTreeSet<usize>>,
    /// Pairs of `before` that are there because the second overwrites something.
    overwriting: BTreeSet<(usize, usize)>,
}

impl<'a> Hazards<'a> {
    fn new(graph: &'a Graph, fused: &'a Fused, next: &[Next]) -> Self {
        let before = vec![BTreeSet::new(); fused.groups.len()];
        Self { graph, fused, replaced: replaced(graph, fused, next), before, overwriting: BTreeSet::new() }
    }

    /// The contents that a value is, or is a slice of.
    fn contents(&self, value: Value) -> Contents {
        match self.fused.aliases.get(&value).filter(|_| !self.replaced.contains_key(&value)) {
            None => value,
            Some(Alias::Whole(target) | Alias::Slice(target, _)) => self.contents(*target),
        }
    }

    fn reads(&self, group: &Group, contents: Contents) -> bool {
        group.inputs.iter().any(|input| self.contents(*input) == contents)
    }

    fn order(mut self) -> Result<Vec<usize>, usize> {
        self.data();
        self.overwritten()?;
        self.sort()
    }

    /// Results are read after they are written, which the given order already ensures.
    fn data(&mut self) {
        let mut writers: BTreeMap<Contents, Vec<usize>> = BTreeMap::new();
        for (position, group) in self.fused.groups.iter().enumerate() {
            for input in &group.inputs {
                let earlier = writers.get(&self.contents(*input)).into_iter().flatten();
                self.before[position].extend(earlier);
            }
            if !self.graph.op(group.output).is_input() {
                writers.entry(self.contents(group.output)).or_default().push(position);
            }
        }
    }

    /// Old contents are made and read before new ones are written.
    fn overwritten(&mut self) -> Result<(), usize> {
        for writer in 0..self.fused.groups.len() {
            let Some((old, next)) = self.replaced.get(&self.contents(self.fused.groups[writer].output)).copied() else {
                continue;
            };
            for (other, group) in self.fused.groups.iter().enumerate() {
                let makes = self.contents(group.output) == old && !self.graph.op(group.output).is_input();
                if other == writer {
                    self.check_own_reads(group, old).map_err(|()| next)?;
                } else if makes || self.reads(group, old) {
                    self.before[writer].insert(other);
                    self.overwriting.insert((other, writer));
                }
            }
        }
        Ok(())
    }

    /// A group may read what it overwrites only element by element, just before.
    fn check_own_reads(&self, group: &Group, old: Contents) -> Result<(), ()> {
        let is_whole = self.contents(group.output) == self.contents_of_alias(group.output);
        let reads = |input: u32| group.inputs.get(input as usize).is_some_and(|value| self.contents(*value) == old);
        let fits = !self.reads(group, old) || (is_whole && reads_where_it_writes(&group.compute, &reads));
        if fits { Ok(()) } else { Err(()) }
    }

    /// As [`Hazards::contents`], for a value that is all of it; itself for slices.
    fn contents_of_alias(&self, value: Value) -> Contents {
        match self.fused.aliases.get(&value).filter(|_| !self.replaced.contains_key(&value)) {
            Some(Alias::Whole(target)) => self.contents_of_alias(*target),
            Some(Alias::Slice(..)) | None => value,
        }
    }

    fn sort(&self) -> Result<Vec<usize>, usize> {
        let mut missing: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut after = vec![Vec::new(); missing.len()];
        for (position, before) in self.before.iter().enumerate() {
            before.iter().for_each(|earlier| after[*earlier].push(position));
        }
        let free = |(position, count): (usize, &usize)| (*count == 0).then_some(Reverse(position));
        let mut ready: BinaryHeap<Reverse<usize>> = missing.iter().enumerate().filter_map(free).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(Reverse(position)) = ready.pop() {
            order.push(position);
            for later in &after[position] {
                missing[*later] -= 1;
                if missing[*later] == 0 {
                    ready.push(Reverse(*later));
                }
            }
        }
        if order.len() == missing.len() { Ok(order) } else { Err(self.written_on_cycle(&order)) }
    }

    /// The next value that is written by a group on a cycle among the groups that cannot run.
    fn written_on_cycle(&self, ran: &[usize]) -> usize {
        let ran: BTreeSet<usize> = ran.iter().copied().collect();
        let stuck = |position: &usize| !ran.contains(position);
        let mut path: Vec<usize> = (0..self.before.len()).find(stuck).into_iter().collect();
        while let Some(earlier) = path.last().and_then(|last| self.before[*last].iter().copied().find(stuck)) {
            let seen = path.iter().position(|known| *known == earlier);
            path.push(earlier);
            if let Some(start) = seen {
                return self.overwriter(&path[start..]).unwrap_or(0);
            }
        }
        0
    }

    /// The next value of the first group on a path, which runs backwards, that overwrites something its predecessor needs.
    fn overwriter(&self, path: &[usize]) -> Option<usize> {
        let pair = path.windows(2).find(|pair| self.overwriting.contains(&(pair[1], pair[0])))?;
        self.replaced.get(&self.contents(self.fused.groups[pair[0]].output)).map(|(_, next)| *next)
    }
}

/// For all contents that are made in the memory of a state, or copied there, those that they replace.
fn replaced(graph: &Graph, fused: &Fused, next: &[Next]) -> BTreeMap<Contents, (Contents, usize)> {
    let mut replaced = BTreeMap::new();
    for (position, next) in next.iter().enumerate() {
        let mut old = next.state;
        for update in next.updates_in_place() {
            replaced.insert(*update, (old, position));
            old = *update;
        }
        if next.is_written_whole() {
            replaced.insert(aliased(graph, &fused.aliases, next.value), (old, position));
        }
        if next.transfer == Transfer::Copied {
            replaced.insert(next.state, (next.state, position));
        }
    }
    replaced
}

/// Whether all loads of these inputs are of the element that is stored, and none is part of a reduction.
fn reads_where_it_writes(compute: &Compute, reads: &dyn Fn(u32) -> bool) -> bool {
    let written = View::dense(&compute.output).index(&compute.coords);
    let same = |step: &Step| match step {
        Step::Load { input, coords, .. } if reads(*input) => {
            compute.inputs.get(*input as usize).is_some_and(|ty| View::dense(ty).index(coords) == written)
        }
        _ => true,
    };
    let mut reduced = compute.reduction.iter().flat_map(|reduction| reduction.bodies()).flat_map(|body| &body.steps);
    let loads = |step: &Step| matches!(step, Step::Load { input, .. } if reads(*input));
    compute.result.steps.iter().all(same) && !reduced.any(loads)
}
