//! Allocations on the GPU, and copies to and from them.

use crate::errors::{lost, out_of_memory};
use crate::gpu::Gpu;
use lostwax_target_api::DeviceError;
use std::sync::mpsc::channel;
use std::time::Duration;
use wgpu::{Buffer, BufferDescriptor, BufferUsages, CommandEncoder, MapMode};

/// Bytes that copies are made of.
const COPY: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// Bytes that bindings are made of: elements of any type.
const BINDING: u64 = 16;

/// Bytes past the end of what is asked for, so that a binding at the very end still has an element of any type.
const MARGIN: u64 = 256;

/// Bytes that are handed over to be copied at a time.
const CHUNK: usize = 64 << 20;

/// The longest time between a completed mapping and its callback.
const ANSWER: Duration = Duration::from_secs(60);

/// GPU memory. Clones are the same memory.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) buffer: Buffer,
    /// What was asked for; the buffer may have more.
    pub(crate) bytes: u64,
    use_: Use,
}

/// What memory is for.
#[derive(Clone, Copy)]
pub(crate) struct Use {
    /// The name for messages, in the plural.
    what: &'static str,
    usage: BufferUsages,
}

impl Use {
    /// Zeros that kernels may read and write.
    pub(crate) const fn storage(what: &'static str) -> Self {
        Self { what, usage: BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST) }
    }

    /// Memory that the GPU copies to and the host reads.
    pub(crate) const fn readable(what: &'static str) -> Self {
        Self { what, usage: BufferUsages::MAP_READ.union(BufferUsages::COPY_DST) }
    }

    /// Integers that kernels take.
    pub(crate) const fn uniform(what: &'static str) -> Self {
        Self { what, usage: BufferUsages::UNIFORM.union(BufferUsages::COPY_DST) }
    }

    /// A buffer that the caller made.
    const FOREIGN: Self = Self { what: "buffers of the caller", usage: BufferUsages::STORAGE };

    /// Results of queries.
    pub(crate) const fn queries(what: &'static str) -> Self {
        Self { what, usage: BufferUsages::QUERY_RESOLVE.union(BufferUsages::COPY_SRC) }
    }
}

impl Memory {
    pub(crate) fn new(gpu: &Gpu, use_: Use, bytes: u64) -> Result<Self, DeviceError> {
        let size = bytes.checked_next_multiple_of(MARGIN).and_then(|size| size.checked_add(MARGIN));
        let (what, most) = (use_.what, gpu.limits.max_buffer_size);
        let Some(size) = size.filter(|size| *size <= most) else {
            return Err(out_of_memory(format!(
                "{what} take {bytes} bytes in one piece; {} has at most {most}",
                gpu.description()
            )));
        };
        let descriptor = BufferDescriptor { label: Some(what), size, usage: use_.usage, mapped_at_creation: false };
        let refused = |problem| out_of_memory(format!("{what} take {bytes} bytes: {problem}"));
        let buffer = gpu.guarded(out_of_memory, || gpu.device.create_buffer(&descriptor)).map_err(|error| match error {
            DeviceError::LimitExceeded { problem, .. } => refused(problem),
            other => other,
        })?;
        Ok(Self { buffer, bytes, use_ })
    }

    /// A buffer of the caller, which has [`room`].
    pub(crate) fn of(buffer: Buffer, bytes: u64) -> Self {
        Self { buffer, bytes, use_: Use::FOREIGN }
    }

    /// Makes it at least that large. Returns whether it is a new allocation, in which the content is lost.
    pub(crate) fn resize(&mut self, gpu: &Gpu, bytes: u64) -> Result<bool, DeviceError> {
        let has_room = bytes <= self.buffer.size().saturating_sub(MARGIN);
        match has_room {
            true => self.bytes = bytes,
            false => *self = Self::new(gpu, self.use_, bytes)?,
        }
        Ok(!has_room)
    }

    /// Writes to the beginning before all that is submitted from now on.
    pub(crate) fn write(&self, gpu: &Gpu, content: &[u8]) -> Result<(), DeviceError> {
        self.write_at(gpu, 0, content)
    }

    /// Writes to an offset, a multiple of 4, before all that is submitted from now on; zeros follow up to the next multiple.
    pub(crate) fn write_at(&self, gpu: &Gpu, offset: u64, content: &[u8]) -> Result<(), DeviceError> {
        gpu.guarded(lost, || self.hand_over(gpu, offset, content))
    }

    /// As [`Memory::write_at`], for callers that handle validation errors themselves.
    pub(crate) fn hand_over(&self, gpu: &Gpu, offset: u64, content: &[u8]) {
        let (whole, rest) = content.split_at(content.len() - content.len() % COPY as usize);
        for (position, chunk) in whole.chunks(CHUNK).enumerate() {
            gpu.queue.write_buffer(&self.buffer, offset + (position * CHUNK) as u64, chunk);
            if chunk.len() == CHUNK {
                gpu.queue.submit([]);
            }
        }
        if !rest.is_empty() {
            let mut word = [0; COPY as usize];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            gpu.queue.write_buffer(&self.buffer, offset + whole.len() as u64, &word);
        }
    }

    /// Copies the whole to an offset of another.
    pub(crate) fn copy_to(&self, target: &Memory, offset: u64, encoder: &mut CommandEncoder) {
        encoder.copy_buffer_to_buffer(&self.buffer, 0, &target.buffer, offset, padded(self.bytes));
    }

    /// Reads the whole into memory of its size, once all that was submitted is done; `refused` makes an error of a validation
    /// error.
    pub(crate) fn fetch(&self, gpu: &Gpu, refused: impl FnOnce(String) -> DeviceError, to: &mut [u8]) -> Result<(), DeviceError> {
        let copy = Self::new(gpu, Use::readable("copies for the host"), self.bytes)?;
        gpu.submit(refused, |encoder| self.copy_to(&copy, 0, encoder))?;
        copy.read(gpu, [to].into_iter())
    }

    /// Reads all parts, which lie one after another, once all that was submitted is done.
    pub(crate) fn read<'a>(&self, gpu: &Gpu, parts: impl Iterator<Item = &'a mut [u8]>) -> Result<(), DeviceError> {
        let (sender, receiver) = channel();
        let slice = self.buffer.slice(..padded(self.bytes).max(COPY));
        gpu.guarded(lost, || slice.map_async(MapMode::Read, move |result| drop(sender.send(result))))?;
        gpu.finish()?;
        // Another session that waits at the same time may be the one whose thread sends the answer.
        let mapped = receiver.recv_timeout(ANSWER).map_err(|error| lost(error.to_string()))?;
        mapped.map_err(|error| lost(error.to_string()))?;
        {
            let view = slice.get_mapped_range().map_err(|error| lost(error.to_string()))?;
            let mut rest: &[u8] = &view;
            for part in parts {
                let (bytes, after) = rest.split_at_checked(padded(part.len() as u64) as usize).unwrap_or((rest, &[]));
                part.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                rest = after;
            }
        }
        gpu.guarded(lost, || self.buffer.unmap())
    }
}

/// The bytes that a buffer needs so that kernels can read and write a tensor of `bytes` bytes in it.
pub(crate) fn room(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(BINDING)
}

/// Bytes that a tensor takes where others follow it.
pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(COPY)
}
