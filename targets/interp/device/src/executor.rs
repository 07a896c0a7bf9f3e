//! One session: working memory, and the dispatches it was prepared for.

use crate::format::NAME;
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{
    BufferRef, DeviceError, DeviceIo, Dispatch, Executor, HostRegions, Io, OnDevice, Parts, Prepared, Signature, WeightBytes,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Parsed kernels and the weights they run on.
pub(crate) struct InterpProgram {
    pub(crate) kernels: Vec<Kernel>,
    signatures: Vec<Signature>,
    weights: WeightBytes,
}

impl InterpProgram {
    pub(crate) fn new(kernels: Vec<Kernel>, weights: WeightBytes) -> Self {
        Self { signatures: kernels.iter().map(signature).collect(), kernels, weights }
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

/// Runs dispatches of one program.
pub(crate) struct InterpExecutor {
    program: Arc<InterpProgram>,
    regions: HostRegions<Vec<u8>>,
    prepared: Prepared,
}

impl InterpExecutor {
    pub(crate) fn new(program: Arc<InterpProgram>) -> Result<Self, DeviceError> {
        let regions = HostRegions::new(Arc::clone(&program.weights), allocate)?;
        Ok(Self { program, regions, prepared: Prepared::default() })
    }

    /// Runs a kernel on copies of its buffers, which may overlap, and copies back what it writes.
    fn step(&mut self, dispatch: &Dispatch, io: &mut Io<'_>) -> Result<(), DeviceError> {
        let program = Arc::clone(&self.program);
        let Some(kernel) = program.kernels.get(dispatch.kernel as usize) else { return Ok(()) };
        let copy = |buffer: &BufferRef| self.regions.bytes(buffer, io).map(<[u8]>::to_vec);
        let mut copies = dispatch.buffers.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
        let mut buffers: Vec<&mut [u8]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
        let ran = eval_kernel(kernel, &mut buffers, &dispatch.symbols);
        ran.map_err(|error| invalid_code(format!("kernel `{}`: {error}", kernel.name)))?;
        let written = dispatch.buffers.iter().zip(&kernel.buffers).zip(&copies).filter(|((_, decl), _)| decl.writable);
        for ((buffer, _), bytes) in written {
            self.regions.write(buffer, io, bytes)?;
        }
        Ok(())
    }

    /// Runs all dispatches and reports the seconds that each took.
    fn run_all(&mut self, io: &mut Io<'_>, finished: impl FnMut(usize, f64)) -> Result<(), DeviceError> {
        self.run_some(0..self.prepared.dispatches.len(), io, finished)
    }

    /// Runs the dispatches at these positions and reports the seconds that each took.
    fn run_some(&mut self, part: Range<usize>, io: &mut Io<'_>, mut finished: impl FnMut(usize, f64)) -> Result<(), DeviceError> {
        io.check(&self.prepared)?;
        let dispatches = std::mem::take(&mut self.prepared.dispatches);
        let ran = part.into_iter().try_for_each(|position| {
            let dispatch = dispatches.get(position).ok_or_else(|| DeviceError::no_dispatch(position))?;
            let start = Instant::now();
            self.step(dispatch, io)?;
            finished(position, start.elapsed().as_secs_f64());
            Ok(())
        });
        self.prepared.dispatches = dispatches;
        ran
    }
}

impl Executor for InterpExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.prepared = Prepared::default();
        prepared.check((*self.program.weights).as_ref().len() as u64, &self.program.signatures)?;
        self.regions.resize(prepared)?;
        self.prepared = prepared.clone();
        Ok(())
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.run_all(io, |_, _| {})
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.resize(self.prepared.dispatches.len(), 0.0);
        self.run_all(io, |position, took| seconds.iter_mut().skip(position).take(1).for_each(|total| *total += took))
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        self.regions.state(index)
    }

    fn parts(&mut self) -> Option<&mut dyn Parts> {
        Some(self)
    }

    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        Some(self)
    }
}

impl OnDevice for InterpExecutor {
    fn run_on_device(&mut self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError> {
        io.as_host::<Vec<u8>>(|io| self.run(io))
    }
}

impl Parts for InterpExecutor {
    fn run_part(&mut self, part: Range<usize>, io: &mut Io<'_>, mut seconds: Option<&mut [f64]>) -> Result<(), DeviceError> {
        let first = part.start;
        self.run_some(part, io, |position, took| {
            let total = seconds.as_deref_mut().and_then(|seconds| seconds.get_mut(position - first));
            total.into_iter().for_each(|total| *total += took);
        })
    }

    fn read(&mut self, from: &BufferRef, io: &Io<'_>, to: &mut [u8]) -> Result<(), DeviceError> {
        self.regions.read(from, io, to)
    }

    fn write(&mut self, to: &BufferRef, io: &mut Io<'_>, from: &[u8]) -> Result<(), DeviceError> {
        self.regions.write(to, io, from)
    }

    fn deliver(&mut self, _output: u32, _io: &mut Io<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}
