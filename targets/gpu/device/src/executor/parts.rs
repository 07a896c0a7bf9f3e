//! Runs that are shared with another device: inputs are sent with the first part, outputs stay here until they are asked for.

use super::{GpuExecutor, check_sizes};
use crate::errors::invalid;
use crate::memory::{Memory, padded};
use lostwax_target_api::{BufferRef, DeviceError, Io, PartialExecutor, Region};
use std::ops::Range;
use std::sync::Arc;

impl PartialExecutor for GpuExecutor {
    fn run_range(&mut self, part: Range<usize>, io: &mut Io<'_>, seconds: Option<&mut [f64]>) -> Result<(), DeviceError> {
        if part.start == 0 {
            self.send(io)?;
        }
        let Some(steps) = self.steps.get(part.clone()) else { return Err(invalid(format!("there are no dispatches {part:?}"))) };
        match seconds {
            None => self.submit(|encoder| self.record_all(steps, encoder)),
            Some(seconds) => self.time_all(steps, seconds),
        }
    }

    fn read(&mut self, from: &BufferRef, io: &Io<'_>, to: &mut [u8]) -> Result<(), DeviceError> {
        check_sizes("output", io.outputs.iter().map(|tensor| tensor.len() as u64), &self.sizes.output_bytes)?;
        self.hand_back(from.region)?;
        self.copy_back(from, to)
    }

    fn write(&mut self, to: &BufferRef, io: &mut Io<'_>, from: &[u8]) -> Result<(), DeviceError> {
        check_sizes("output", io.outputs.iter().map(|tensor| tensor.len() as u64), &self.sizes.output_bytes)?;
        self.hand_back(to.region)?;
        self.range(to, from.len())?.write_at(&self.program.gpu, to.offset, from)
    }

    fn deliver(&mut self, output: u32, io: &mut Io<'_>) -> Result<(), DeviceError> {
        let Some(tensor) = io.outputs.get_mut(output as usize) else {
            return Err(invalid(format!("there is no output {output}")));
        };
        self.copy_back(&BufferRef { region: Region::Output(output), offset: 0, bytes: tensor.len() as u64 }, tensor)
    }
}

impl GpuExecutor {
    /// Takes over what the host changed of a state.
    fn hand_back(&mut self, region: Region) -> Result<(), DeviceError> {
        let Region::State(tensor) = region else { return Ok(()) };
        let state = self.space.states.get_mut(tensor as usize);
        let Some((state, shown)) = state.and_then(|state| state.shown.take().map(|shown| (state, shown))) else { return Ok(()) };
        state.memory.write(&self.program.gpu, &shown)
    }

    /// The memory that a range of `len` bytes lies in, if it can be copied.
    fn range(&self, buffer: &BufferRef, len: usize) -> Result<&Memory, DeviceError> {
        let BufferRef { region, offset, bytes } = *buffer;
        let is_aligned = offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let fits = |memory: &&Memory| offset.checked_add(bytes).is_some_and(|end| end <= memory.bytes);
        let memory = self.space.memory(region).filter(|_| is_aligned && bytes == len as u64).filter(fits);
        memory.ok_or_else(|| invalid(format!("{buffer:?} does not exist or cannot be copied")))
    }

    fn copy_back(&mut self, from: &BufferRef, to: &mut [u8]) -> Result<(), DeviceError> {
        let (gpu, bytes) = (Arc::clone(&self.program.gpu), padded(from.bytes));
        self.range(from, to.len())?;
        if self.results.bytes < bytes {
            self.results.resize(&gpu, bytes)?;
        }
        let memory = self.range(from, to.len())?;
        self.submit(|encoder| encoder.copy_buffer_to_buffer(&memory.buffer, from.offset, &self.results.buffer, 0, bytes))?;
        self.results.read(&gpu, [to].into_iter())
    }
}
