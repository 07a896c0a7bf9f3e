//! Runs that are shared with another device. All memory is the host's, and kernels write to the tensors of the run.

use super::{CpuExecutor, invalid};
use crate::memory::Memory;
use lostwax_target_api::{BufferRef, DeviceError, Io, PartialExecutor, Region};
use std::ops::Range;

impl PartialExecutor for CpuExecutor {
    fn run_range(&mut self, part: Range<usize>, io: &mut Io<'_>, seconds: Option<&mut [f64]>) -> Result<(), DeviceError> {
        if part.end > self.steps.steps.len() {
            return invalid(format!("there are no dispatches {part:?}"));
        }
        self.patch(io)?;
        match seconds {
            Some(seconds) => part.zip(seconds).for_each(|(position, total)| self.run_timed(position, total)),
            None => part.for_each(|position| self.run_step(position)),
        }
        Ok(())
    }

    fn read(&mut self, from: &BufferRef, io: &Io<'_>, to: &mut [u8]) -> Result<(), DeviceError> {
        let memory = match from.region {
            Region::Arena => Some(&*self.arena.bytes_mut()),
            Region::State(tensor) => self.states.get_mut(tensor as usize).map(|state| &*state.bytes_mut()),
            Region::Output(tensor) => io.outputs.get(tensor as usize).map(|output| &**output),
            Region::Weights | Region::Input(_) => None,
        };
        let bytes = memory.and_then(|memory| memory.get(range(from))).filter(|bytes| bytes.len() == to.len());
        bytes.map(|bytes| to.copy_from_slice(bytes)).map_or_else(|| missing(from), Ok)
    }

    fn write(&mut self, to: &BufferRef, io: &mut Io<'_>, from: &[u8]) -> Result<(), DeviceError> {
        let memory = match to.region {
            Region::Arena => Some(self.arena.bytes_mut()),
            Region::State(tensor) => self.states.get_mut(tensor as usize).map(Memory::bytes_mut),
            Region::Output(tensor) => io.outputs.get_mut(tensor as usize).map(|output| &mut **output),
            Region::Weights | Region::Input(_) => None,
        };
        let bytes = memory.and_then(|memory| memory.get_mut(range(to))).filter(|bytes| bytes.len() == from.len());
        bytes.map(|bytes| bytes.copy_from_slice(from)).map_or_else(|| missing(to), Ok)
    }

    fn deliver(&mut self, _output: u32, _io: &mut Io<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn range(buffer: &BufferRef) -> Range<usize> {
    buffer.offset as usize..buffer.offset.saturating_add(buffer.bytes) as usize
}

fn missing(buffer: &BufferRef) -> Result<(), DeviceError> {
    invalid(format!("{buffer:?} does not exist or cannot be copied"))
}
