//! Loaded code, and how one kernel runs.

use crate::format::KernelFn;
use crate::memory::Memory;
use libloading::Library;
use lostwax_target_api::{
    DeviceError, Dispatch, Executor, HostExecutor, HostProgram, HostRegions, Io, Program, Signature, WeightBytes,
};
use std::sync::Arc;

/// Loaded code, and the weights that it runs on.
pub(crate) struct CProgram {
    signatures: Vec<Signature>,
    kernels: Vec<KernelFn>,
    weights: WeightBytes,
    /// What the functions are part of.
    _library: Library,
}

impl CProgram {
    /// A function of `library` for each signature.
    pub(crate) fn new(signatures: Vec<Signature>, kernels: Vec<KernelFn>, weights: WeightBytes, library: Library) -> Self {
        Self { signatures, kernels, weights, _library: library }
    }
}

// region: program
impl Program for CProgram {
    fn kernel_count(&self) -> usize {
        self.kernels.len()
    }

    /// All dispatches run on the thread that calls.
    fn executor(self: Arc<Self>, _threads: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(HostExecutor::new(self)?))
    }
}
// endregion: program

// region: run
impl HostProgram for CProgram {
    type Memory = Memory;

    fn allocate(bytes: u64) -> Result<Memory, DeviceError> {
        Memory::new(bytes)
    }

    fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    fn weights(&self) -> &WeightBytes {
        &self.weights
    }

    fn run(&self, dispatch: &Dispatch, regions: &mut HostRegions<Memory>, io: &mut Io<'_>) -> Result<(), DeviceError> {
        let position = dispatch.kernel as usize;
        let (Some(kernel), Some(signature)) = (self.kernels.get(position), self.signatures.get(position)) else {
            return Err(DeviceError::no_kernel(dispatch.kernel));
        };
        let pointer = |(buffer, writable)| match writable {
            true => regions.bytes_mut(buffer, io).map(<[u8]>::as_mut_ptr),
            false => regions.bytes(buffer, io).map(|bytes| bytes.as_ptr().cast_mut()),
        };
        let buffers = dispatch.buffers.iter().zip(signature.writable.iter().copied());
        let buffers: Vec<*mut u8> = buffers.map(pointer).collect::<Result<_, _>>()?;
        // SAFETY: the executor has checked that buffers and symbols are as many as the kernel takes and that buffers lie in their
        // regions, of which we hold exclusive references where they are written. That a kernel stays within them is what the target
        // promises.
        unsafe { kernel(buffers.as_ptr(), dispatch.symbols.as_ptr(), 0, dispatch.grid as i64) };
        Ok(())
    }
}
// endregion: run
