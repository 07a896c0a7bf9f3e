//! Which device runs what, and what is copied before it does.

use lostwax_target_api::{BufferRef, Dispatch, Prepared, Region};
use std::ops::Range;

/// The dispatches of both devices. Filling it anew uses the memory of the last time.
#[derive(Default)]
pub(super) struct Partition {
    /// What each device is prepared for.
    pub(super) prepared: [Prepared; 2],
    pub(super) segments: Vec<Segment>,
    /// The outputs that are written, and by which device last.
    pub(super) outputs: Vec<(u32, usize)>,
    copies: Vec<BufferRef>,
    states: Vec<StateUse>,
    contents: Vec<Contents>,
}

/// Dispatches of one device that follow each other.
#[derive(Default)]
pub(super) struct Segment {
    pub(super) side: usize,
    /// Their positions among those of the device.
    pub(super) part: Range<usize>,
    copies: Range<usize>,
    states: Range<usize>,
}

/// A state that a segment needs. Where it is depends on runs before.
#[derive(Debug, PartialEq)]
pub(super) struct StateUse {
    pub(super) index: u32,
    pub(super) bytes: u64,
    pub(super) is_written: bool,
}

/// What a step of this run has written, and the devices that have it.
struct Contents {
    range: BufferRef,
    held: [bool; 2],
}

impl Partition {
    /// The sizes of the states.
    pub(super) fn state_bytes(&self) -> &[u64] {
        let [first, _] = &self.prepared;
        &first.state_bytes
    }

    /// What must come from the other device before a segment.
    pub(super) fn copies_of(&self, segment: &Segment) -> &[BufferRef] {
        self.copies.get(segment.copies.clone()).unwrap_or_default()
    }

    /// The states that a segment uses.
    pub(super) fn states_of(&self, segment: &Segment) -> &[StateUse] {
        self.states.get(segment.states.clone()).unwrap_or_default()
    }

    /// Divides the dispatches: those of kernels from `own_kernels` on belong to the second device.
    pub(super) fn fill(&mut self, prepared: &Prepared, own_kernels: u32) {
        self.clear(prepared);
        let mut counts = [0; 2];
        for dispatch in &prepared.dispatches {
            let side = usize::from(dispatch.kernel >= own_kernels);
            let kernel = if side == 0 { dispatch.kernel } else { dispatch.kernel - own_kernels };
            place(&mut self.prepared[side].dispatches, counts[side], dispatch, kernel);
            self.extend_segments(side, counts[side]);
            counts[side] += 1;
            self.use_buffers(dispatch, side);
        }
        for (own, count) in self.prepared.iter_mut().zip(counts) {
            own.dispatches.truncate(count);
        }
        self.find_outputs();
    }

    fn clear(&mut self, prepared: &Prepared) {
        for own in &mut self.prepared {
            own.arena_bytes = prepared.arena_bytes;
            own.state_bytes.clone_from(&prepared.state_bytes);
            own.input_bytes.clone_from(&prepared.input_bytes);
            own.output_bytes.clone_from(&prepared.output_bytes);
        }
        self.segments.clear();
        self.copies.clear();
        self.states.clear();
        self.contents.clear();
        self.outputs.clear();
    }

    fn extend_segments(&mut self, side: usize, position: usize) {
        let (copies, states) = (self.copies.len(), self.states.len());
        match self.segments.last_mut().filter(|segment| segment.side == side) {
            Some(segment) => segment.part.end = position + 1,
            None => {
                let part = position..position + 1;
                self.segments.push(Segment { side, part, copies: copies..copies, states: states..states });
            }
        }
    }

    /// Adds what a dispatch reads and writes to the last segment. It writes to its last buffer. What is there already counts if it
    /// was written as the same range: then it is a part of the same tensor. Otherwise the tensor before is of no use any more.
    fn use_buffers(&mut self, dispatch: &Dispatch, side: usize) {
        let Some((written, read)) = dispatch.buffers.split_last() else { return };
        read.iter().for_each(|buffer| self.need(side, |range| overlap(range, buffer)));
        self.need(side, |range| range == written);
        if is_written_in_a_run(written.region) {
            self.contents.retain(|contents| !overlap(&contents.range, written));
            self.contents.push(Contents { range: *written, held: [side == 0, side == 1] });
        }
        read.iter().for_each(|buffer| self.use_state(buffer, false));
        self.use_state(written, true);
        let (copies, states) = (self.copies.len(), self.states.len());
        if let Some(segment) = self.segments.last_mut() {
            (segment.copies.end, segment.states.end) = (copies, states);
        }
    }

    /// Sees to it that one side has all contents of the ranges that are meant.
    fn need(&mut self, side: usize, is_meant: impl Fn(&BufferRef) -> bool) {
        for Contents { range, held } in &mut self.contents {
            if !held[side] && is_meant(range) {
                held[side] = true;
                self.copies.push(*range);
            }
        }
    }

    fn use_state(&mut self, buffer: &BufferRef, is_written: bool) {
        let (Region::State(index), Some(segment)) = (buffer.region, self.segments.last()) else { return };
        let bytes = self.state_bytes().get(index as usize).copied().unwrap_or(0);
        let known = self.states.iter_mut().skip(segment.states.start).find(|state| state.index == index);
        match known {
            Some(state) => state.is_written |= is_written,
            None => self.states.push(StateUse { index, bytes, is_written }),
        }
    }

    fn find_outputs(&mut self) {
        for Contents { range, held } in &self.contents {
            let Region::Output(output) = range.region else { continue };
            let side = usize::from(!held[0]);
            if !self.outputs.contains(&(output, side)) {
                self.outputs.push((output, side));
            }
        }
    }
}

/// Copies a dispatch into a table.
fn place(table: &mut Vec<Dispatch>, position: usize, dispatch: &Dispatch, kernel: u32) {
    if table.len() <= position {
        table.resize_with(position + 1, Dispatch::default);
    }
    if let Some(entry) = table.get_mut(position) {
        (entry.kernel, entry.grid) = (kernel, dispatch.grid);
        entry.buffers.clone_from(&dispatch.buffers);
        entry.symbols.clone_from(&dispatch.symbols);
    }
}

/// Memory whose contents are those of one run.
fn is_written_in_a_run(region: Region) -> bool {
    matches!(region, Region::Arena | Region::Output(_))
}

fn overlap(a: &BufferRef, b: &BufferRef) -> bool {
    let end = |buffer: &BufferRef| buffer.offset.saturating_add(buffer.bytes);
    a.region == b.region && a.offset < end(b) && b.offset < end(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 1;

    fn at(region: Region, offset: u64, bytes: u64) -> BufferRef {
        BufferRef { region, offset, bytes }
    }

    fn arena(offset: u64) -> BufferRef {
        at(Region::Arena, offset, 64)
    }

    /// A partition of steps that each run on one side, read buffers and write to the last.
    fn partition(steps: &[(u32, &[BufferRef])]) -> Partition {
        let dispatch =
            |(side, buffers): &(u32, &[BufferRef])| Dispatch { kernel: *side, buffers: buffers.to_vec(), ..Dispatch::default() };
        let dispatches = steps.iter().map(dispatch).collect();
        let mut partition = Partition::default();
        partition.fill(&Prepared { state_bytes: vec![8], dispatches, ..Prepared::default() }, OWN);
        partition
    }

    fn copies(partition: &Partition) -> Vec<(usize, Vec<BufferRef>)> {
        partition.segments.iter().map(|segment| (segment.side, partition.copies_of(segment).to_vec())).collect()
    }

    #[test]
    fn what_the_other_side_wrote_is_copied_once() {
        let (input, output) = (at(Region::Input(0), 0, 64), at(Region::Output(0), 0, 64));
        let steps: &[(u32, &[BufferRef])] = &[
            (0, &[input, arena(0)]),
            (0, &[arena(0), arena(64)]),
            (1, &[arena(64), arena(128)]),
            (1, &[arena(64), arena(128), arena(192)]),
            (0, &[arena(0), arena(128), arena(256)]),
            (1, &[arena(64), output]),
        ];
        let partition = partition(steps);
        let expected = vec![(0, vec![]), (1, vec![arena(64)]), (0, vec![arena(128)]), (1, vec![])];
        assert_eq!(copies(&partition), expected);
        let parts: Vec<Range<usize>> = partition.segments.iter().map(|segment| segment.part.clone()).collect();
        assert_eq!(parts, [0..2, 0..2, 2..3, 2..3]);
        assert_eq!(partition.outputs, [(0, 1)]);
        assert_eq!(partition.prepared.each_ref().map(|prepared| prepared.dispatches.len()), [3, 3]);
        assert!(partition.prepared.iter().flat_map(|prepared| &prepared.dispatches).all(|dispatch| dispatch.kernel == 0));
    }

    #[test]
    fn parts_of_one_tensor_come_together_and_what_was_there_before_does_not() {
        let whole = at(Region::Arena, 0, 128);
        let steps: &[(u32, &[BufferRef])] = &[(0, &[arena(64)]), (1, &[whole]), (0, &[whole]), (1, &[whole, arena(128)])];
        assert_eq!(copies(&partition(steps)), [(0, vec![]), (1, vec![]), (0, vec![whole]), (1, vec![whole])]);
    }

    #[test]
    fn states_are_left_to_the_run() {
        let state = at(Region::State(0), 0, 8);
        let partition = partition(&[(1, &[state, arena(0)]), (1, &[arena(0), state]), (0, &[state, arena(64)])]);
        assert!(copies(&partition).iter().all(|(_, copies)| copies.is_empty()));
        let uses: Vec<&[StateUse]> = partition.segments.iter().map(|segment| partition.states_of(segment)).collect();
        let used = |is_written| StateUse { index: 0, bytes: 8, is_written };
        assert_eq!(uses, [&[used(true)][..], &[used(false)]]);
    }

    #[test]
    fn a_table_is_filled_anew() {
        let mut partition = partition(&[(0, &[arena(0)]), (1, &[arena(0), arena(64)]), (0, &[arena(64), arena(0)])]);
        let dispatch = Dispatch { kernel: 1, buffers: vec![arena(0)], grid: 5, ..Dispatch::default() };
        partition.fill(&Prepared { dispatches: vec![dispatch.clone()], ..Prepared::default() }, OWN);
        let [first, second] = &partition.prepared;
        assert!(first.dispatches.is_empty());
        assert_eq!(second.dispatches, [Dispatch { kernel: 0, ..dispatch }]);
        assert_eq!((partition.segments.len(), copies(&partition)), (1, vec![(1, vec![])]));
    }
}
