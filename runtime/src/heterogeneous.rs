//! Two devices as one: the first runs the steps that its code has kernels for, the second runs the remaining steps.
//!
//! Kernels are numbered consecutively: those of the first device, then those of the second. Both devices hold working memory and states;
//! `partition` finds what must be copied between them.

mod partition;

use lostwax_format::Variant;
use lostwax_target_api::{BufferRef, DeviceError, Executor, Io, PartialExecutor, Prepared, Program, Region};
use partition::{Partition, Segment};
use std::sync::Arc;

/// A variant whose dispatches are all there: those that it leaves to another device are those of `fallback`, with kernels numbered
/// behind its own.
pub(crate) fn merge(variant: &Variant, fallback: &Variant) -> Variant {
    let mut merged = variant.clone();
    let own = merged.kernels.len() as u32;
    for step in &variant.fallback_steps {
        let slot = merged.dispatches.get_mut(*step as usize);
        if let Some((slot, dispatch)) = slot.zip(fallback.dispatches.get(*step as usize)) {
            slot.clone_from(dispatch);
            slot.kernel = dispatch.kernel.saturating_add(own);
        }
    }
    merged.kernels.extend_from_slice(&fallback.kernels);
    merged
}

/// Code of two devices.
pub(crate) struct HeterogeneousProgram {
    /// Of the device that was asked for, and of its fallback.
    pub(crate) programs: [Arc<dyn Program>; 2],
    /// The names of the devices.
    pub(crate) names: [String; 2],
}

impl Program for HeterogeneousProgram {
    fn kernel_count(&self) -> usize {
        self.programs.iter().map(|program| program.kernel_count()).sum()
    }

    fn executor(self: Arc<Self>, threads: usize) -> Result<Box<dyn Executor>, DeviceError> {
        let [first, second] = &self.programs;
        let own_kernels = first.kernel_count() as u32;
        let executors = [Arc::clone(first).executor(threads)?, Arc::clone(second).executor(threads)?];
        let mut pair = Pair { executors, names: self.names.clone(), staging: Vec::new(), copied: 0 };
        (0..2).try_for_each(|side| pair.side(side).map(drop))?;
        Ok(Box::new(HeterogeneousExecutor { own_kernels, pair, partition: Partition::default(), holds: Vec::new() }))
    }
}

struct HeterogeneousExecutor {
    own_kernels: u32,
    pair: Pair,
    partition: Partition,
    /// By state, which of the devices have its contents.
    holds: Vec<[bool; 2]>,
}

/// The executors of both devices, and copies between them.
struct Pair {
    executors: [Box<dyn Executor>; 2],
    names: [String; 2],
    staging: Vec<u8>,
    copied: u64,
}

impl Pair {
    fn side(&mut self, side: usize) -> Result<&mut dyn PartialExecutor, DeviceError> {
        let Self { executors, names, .. } = self;
        let parts = executors.get_mut(side).and_then(|executor| executor.partial());
        let device = || names.get(side).cloned().unwrap_or_default();
        let what = "runs that it shares with another device";
        parts.ok_or_else(|| DeviceError::Unsupported { device: device(), what: what.into() })
    }

    /// Brings a range to one side from the other.
    fn copy(&mut self, buffer: &BufferRef, to: usize, io: &mut Io<'_>) -> Result<(), DeviceError> {
        if buffer.bytes == 0 {
            return Ok(());
        }
        let mut staging = std::mem::take(&mut self.staging);
        staging.resize(buffer.bytes as usize, 0);
        let copied = self.side(1 - to)?.read(buffer, io, &mut staging);
        copied.and_then(|()| self.side(to)?.write(buffer, io, &staging))?;
        self.staging = staging;
        self.copied = self.copied.saturating_add(buffer.bytes);
        Ok(())
    }
}

impl HeterogeneousExecutor {
    fn run_all(&mut self, io: &mut Io<'_>, mut seconds: Option<&mut [f64]>) -> Result<(), DeviceError> {
        let Self { pair, partition, holds, .. } = self;
        pair.copied = 0;
        for segment in &partition.segments {
            let Segment { side, part, .. } = segment;
            partition.copies_of(segment).iter().try_for_each(|buffer| pair.copy(buffer, *side, io))?;
            partition.states_of(segment).iter().try_for_each(|state| state.bring(pair, *side, holds, io))?;
            let count = part.len();
            let (own, rest) = seconds.take().map(|seconds| seconds.split_at_mut(count.min(seconds.len()))).unzip();
            seconds = rest;
            pair.side(*side)?.run_range(part.clone(), io, own)?;
        }
        partition.outputs.iter().try_for_each(|(output, side)| pair.side(*side)?.deliver(*output, io))
    }

    /// States of a new size are zeros everywhere.
    fn fit_states(&mut self, prepared: &Prepared) {
        let old = self.partition.state_bytes();
        let is_same = |index: usize| old.get(index).is_some_and(|bytes| prepared.state_bytes.get(index) == Some(bytes));
        let kept: Vec<usize> = (0..prepared.state_bytes.len()).filter(|index| is_same(*index)).collect();
        if kept.len() == prepared.state_bytes.len() {
            return;
        }
        let mut holds = vec![[true; 2]; prepared.state_bytes.len()];
        kept.iter().for_each(|index| holds[*index] = self.holds.get(*index).copied().unwrap_or([true; 2]));
        self.holds = holds;
    }
}

impl partition::StateUse {
    /// Makes sure that one side has the current value of a state; if it writes to it, the other side's copy becomes stale.
    fn bring(&self, pair: &mut Pair, side: usize, holds: &mut [[bool; 2]], io: &mut Io<'_>) -> Result<(), DeviceError> {
        let Some(held) = holds.get_mut(self.index as usize) else { return Ok(()) };
        if !held[side] {
            let whole = BufferRef { region: Region::State(self.index), offset: 0, bytes: self.bytes };
            pair.copy(&whole, side, io)?;
        }
        held[side] = true;
        held[1 - side] &= !self.is_written;
        Ok(())
    }
}

impl Executor for HeterogeneousExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.fit_states(prepared);
        self.partition.fill(prepared, self.own_kernels);
        let executors = self.pair.executors.iter_mut().zip(&self.partition.prepared);
        executors.into_iter().try_for_each(|(executor, prepared)| executor.prepare(prepared))
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.run_all(io, None)
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.resize(self.partition.segments.iter().map(|segment| segment.part.len()).sum(), 0.0);
        self.run_all(io, Some(seconds))
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        let missing = || DeviceError::no_state(index);
        let held = self.holds.get_mut(index).ok_or_else(missing)?;
        let side = usize::from(!held[0]);
        *held = [side == 0, side == 1];
        self.pair.executors.get_mut(side).ok_or_else(missing)?.state(index)
    }

    fn copied_bytes(&self) -> u64 {
        self.pair.copied
    }
}
