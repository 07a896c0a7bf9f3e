//! Loaded kernels, run by the reference interpreter.

use crate::format::NAME;
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{
    BufferRef, DeviceError, Dispatch, Executor, HostExecutor, HostProgram, HostRegions, Io, Program, Signature, WeightBytes,
};
use std::sync::Arc;

/// Parsed kernels and the weights they run on.
pub(crate) struct InterpProgram {
    kernels: Vec<Kernel>,
    signatures: Vec<Signature>,
    weights: WeightBytes,
}

impl InterpProgram {
    pub(crate) fn new(kernels: Vec<Kernel>, weights: WeightBytes) -> Self {
        Self { signatures: kernels.iter().map(signature).collect(), kernels, weights }
    }
}

impl Program for InterpProgram {
    fn kernel_count(&self) -> usize {
        self.kernels.len()
    }

    fn executor(self: Arc<Self>, _threads: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(HostExecutor::new(self)?))
    }
}

impl HostProgram for InterpProgram {
    type Memory = Vec<u8>;

    fn allocate(bytes: u64) -> Result<Vec<u8>, DeviceError> {
        allocate(bytes)
    }

    fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    fn weights(&self) -> &WeightBytes {
        &self.weights
    }

    /// Runs a kernel on copies of its buffers, which may overlap, and copies back what it writes.
    fn run(&self, dispatch: &Dispatch, regions: &mut HostRegions<Vec<u8>>, io: &mut Io<'_>) -> Result<(), DeviceError> {
        let kernel = self.kernels.get(dispatch.kernel as usize).ok_or_else(|| DeviceError::no_kernel(dispatch.kernel))?;
        let copy = |buffer: &BufferRef| regions.bytes(buffer, io).map(<[u8]>::to_vec);
        let mut copies = dispatch.buffers.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
        let mut buffers: Vec<&mut [u8]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
        let ran = eval_kernel(kernel, &mut buffers, &dispatch.symbols);
        ran.map_err(|error| invalid_code(format!("kernel `{}`: {error}", kernel.name)))?;
        let mut written = dispatch.buffers.iter().zip(&kernel.buffers).zip(&copies).filter(|((_, decl), _)| decl.writable);
        written.try_for_each(|((buffer, _), bytes)| regions.write(buffer, io, bytes))
    }
}

fn signature(kernel: &Kernel) -> Signature {
    let writable = kernel.buffers.iter().map(|buffer| buffer.writable).collect();
    Signature { name: kernel.name.clone(), writable, symbols: kernel.symbols.len() }
}

/// Zeroed memory.
pub(crate) fn allocate(bytes: u64) -> Result<Vec<u8>, DeviceError> {
    let problem = || format!("{bytes} bytes of working memory cannot be allocated");
    let missing = || DeviceError::LimitExceeded { resource: "memory", problem: problem() };
    let count = usize::try_from(bytes).map_err(|_| missing())?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(count).map_err(|_| missing())?;
    memory.resize(count, 0);
    Ok(memory)
}

/// An error of the code bytes.
pub(crate) fn invalid_code(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}
