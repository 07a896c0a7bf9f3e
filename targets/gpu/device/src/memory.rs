//! Allocations of the processor, and copies to and from them.

use crate::gpu::{Gpu, lost, out_of_memory};
use lostwax_target_api::DeviceError;
use std::sync::mpsc::channel;
use std::time::Duration;
use wgpu::{Buffer, BufferDescriptor, BufferUsages, CommandEncoder, MapMode};

/// Bytes that copies are made of.
const COPY: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// Bytes past the end of what is asked for, so that a binding at the very end still has an element of any type.
const MARGIN: u64 = 256;

/// Bytes that are handed over to be copied at a time.
const CHUNK: usize = 64 << 20;

/// The longest that an answer takes on its way, once there is one.
const ANSWER: Duration = Duration::from_secs(60);

/// Memory of the processor.
pub(crate) struct Memory {
    pub(crate) buffer: Buffer,
    /// What was asked for.
    pub(crate) bytes: u64,
}

impl Memory {
    /// Zeros that kernels may read and write.
    pub(crate) fn storage(gpu: &Gpu, bytes: u64) -> Result<Self, DeviceError> {
        Self::new(gpu, bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST)
    }

    /// Memory that this processor copies to and the host reads.
    pub(crate) fn readable(gpu: &Gpu, bytes: u64) -> Result<Self, DeviceError> {
        Self::new(gpu, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST)
    }

    /// Integers that kernels take.
    pub(crate) fn uniform(gpu: &Gpu, bytes: u64) -> Result<Self, DeviceError> {
        Self::new(gpu, bytes, BufferUsages::UNIFORM | BufferUsages::COPY_DST)
    }

    fn new(gpu: &Gpu, bytes: u64, usage: BufferUsages) -> Result<Self, DeviceError> {
        let size = bytes.checked_next_multiple_of(MARGIN).and_then(|size| size.checked_add(MARGIN));
        let Some(size) = size.filter(|size| *size <= gpu.limits.max_buffer_size) else {
            let most = gpu.limits.max_buffer_size;
            return Err(out_of_memory(format!("{bytes} bytes in one piece; {} has at most {most}", gpu.description())));
        };
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let buffer = gpu.guarded(out_of_memory, || gpu.device.create_buffer(&descriptor))?;
        Ok(Self { buffer, bytes })
    }

    /// Writes to the beginning before all that is submitted from now on.
    pub(crate) fn write(&self, gpu: &Gpu, content: &[u8]) -> Result<(), DeviceError> {
        let (whole, rest) = content.split_at(content.len() - content.len() % COPY as usize);
        gpu.guarded(lost, || {
            for (position, chunk) in whole.chunks(CHUNK).enumerate() {
                gpu.queue.write_buffer(&self.buffer, (position * CHUNK) as u64, chunk);
                if chunk.len() == CHUNK {
                    gpu.queue.submit([]);
                }
            }
            if !rest.is_empty() {
                let mut word = [0; COPY as usize];
                word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                gpu.queue.write_buffer(&self.buffer, whole.len() as u64, &word);
            }
        })
    }

    /// Copies the whole to a place of another.
    pub(crate) fn copy_to(&self, target: &Memory, offset: u64, encoder: &mut CommandEncoder) {
        encoder.copy_buffer_to_buffer(&self.buffer, 0, &target.buffer, offset, padded(self.bytes));
    }

    /// Reads all parts, which lie one after another, once all that was submitted is done.
    pub(crate) fn read<'a>(&self, gpu: &Gpu, parts: impl Iterator<Item = &'a mut [u8]>) -> Result<(), DeviceError> {
        let (sender, receiver) = channel();
        self.buffer.slice(..).map_async(MapMode::Read, move |result| drop(sender.send(result)));
        gpu.finish()?;
        // Another session that waits at the same time may be the one whose thread sends the answer.
        let mapped = receiver.recv_timeout(ANSWER).map_err(|error| lost(error.to_string()))?;
        mapped.map_err(|error| lost(error.to_string()))?;
        {
            let view = self.buffer.slice(..).get_mapped_range().map_err(|error| lost(error.to_string()))?;
            let mut rest: &[u8] = &view;
            for part in parts {
                let (bytes, after) = rest.split_at_checked(padded(part.len() as u64) as usize).unwrap_or((rest, &[]));
                part.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                rest = after;
            }
        }
        self.buffer.unmap();
        Ok(())
    }
}

/// Bytes that a tensor takes where others follow it.
pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(COPY)
}
