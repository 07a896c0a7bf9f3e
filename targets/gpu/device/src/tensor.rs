//! Tensors that stay in GPU memory from run to run.

use crate::errors::{invalid, unsupported};
use crate::gpu::Gpu;
use crate::layout::{entry, layout};
use crate::memory::{Memory, Use, room};
use lostwax_target_api::{DeviceError, DeviceMemory};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wgpu::{BindGroupDescriptor, Buffer, BufferUsages};

/// Which tensor memory belongs to; it lives as long as the tensor, or as it is bound.
pub(crate) type Identity = Arc<u64>;

/// GPU memory for one tensor.
pub(crate) struct GpuTensor {
    gpu: Arc<Gpu>,
    pub(crate) memory: Memory,
    pub(crate) identity: Identity,
}

impl GpuTensor {
    pub(crate) fn new(gpu: Arc<Gpu>, bytes: u64) -> Result<Self, DeviceError> {
        let memory = Memory::new(&gpu, Use::storage("tensors that stay on the device"), bytes)?;
        Ok(Self { gpu, memory, identity: identity() })
    }

    /// A tensor in a buffer of the caller.
    pub(crate) fn of(gpu: Arc<Gpu>, buffer: Buffer, bytes: u64) -> Result<Self, DeviceError> {
        let needed = room(bytes);
        if buffer.size() < needed {
            return Err(invalid(format!("a buffer of {} bytes holds no tensor of {bytes}, which needs {needed}", buffer.size())));
        }
        let tensor = Self { gpu, memory: Memory::of(buffer, bytes), identity: identity() };
        tensor.needs(BufferUsages::STORAGE, "to be bound")?;
        tensor.check_bindable()?;
        Ok(tensor)
    }

    /// The tensor that memory is, if it is one of this GPU.
    pub(crate) fn from_memory<'a>(gpu: &Arc<Gpu>, memory: &'a dyn DeviceMemory) -> Option<&'a Self> {
        let memory: &dyn Any = memory;
        memory.downcast_ref::<Self>().filter(|tensor| Arc::ptr_eq(&tensor.gpu, gpu))
    }

    /// Whether the GPU takes the buffer, which may belong to another one.
    fn check_bindable(&self) -> Result<(), DeviceError> {
        self.gpu.guarded(invalid, || {
            let layout = layout(&self.gpu, 1, false);
            let entries = [entry(0, &self.memory, 0, room(0))];
            drop(self.gpu.device.create_bind_group(&BindGroupDescriptor { label: None, layout: &layout, entries: &entries }));
        })
    }

    /// A buffer of the caller may be in use by the host or gone.
    fn refused(&self, problem: String) -> DeviceError {
        invalid(format!("a tensor of {} bytes lies in a buffer that cannot be used: {problem}", self.memory.bytes))
    }

    fn needs(&self, usage: BufferUsages, what: &str) -> Result<(), DeviceError> {
        let missing = usage - self.memory.buffer.usage();
        if missing.is_empty() { Ok(()) } else { Err(unsupported(format!("a buffer without the usage {missing:?} {what}"))) }
    }
}

impl DeviceMemory for GpuTensor {
    fn bytes(&self) -> u64 {
        self.memory.bytes
    }

    fn read(&self, to: &mut [u8]) -> Result<(), DeviceError> {
        self.needs(BufferUsages::COPY_SRC, "to be read")?;
        check_size(self.memory.bytes, to.len())?;
        self.memory.fetch(&self.gpu, |problem| self.refused(problem), to)
    }

    fn write(&mut self, from: &[u8]) -> Result<(), DeviceError> {
        self.needs(BufferUsages::COPY_DST, "to be written")?;
        check_size(self.memory.bytes, from.len())?;
        let refused = |problem| self.refused(problem);
        self.gpu.guarded(refused, || {
            self.memory.hand_over(&self.gpu, 0, from);
            self.gpu.queue.submit([]);
        })
    }

    fn is_shared_with(&self, other: &dyn DeviceMemory) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>().is_some_and(|other| other.memory.buffer == self.memory.buffer)
    }
}

fn check_size(own: u64, given: usize) -> Result<(), DeviceError> {
    if own == given as u64 { Ok(()) } else { Err(DeviceError::size_mismatch(given, own as usize)) }
}

/// A number that no other tensor of the process has; 0 is none.
fn identity() -> Identity {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Arc::new(LAST.fetch_add(1, Ordering::Relaxed) + 1)
}
