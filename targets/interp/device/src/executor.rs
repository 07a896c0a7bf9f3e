//! One session: working memory, and the dispatches it was prepared for.

use crate::format::NAME;
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{
    BufferRef, DeviceError, DeviceIo, Dispatch, Executor, Io, OnDevice, Parts, Prepared, Region, WeightBytes,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Parsed kernels and the weights they run on.
pub(crate) struct InterpProgram {
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) weights: WeightBytes,
}

/// An error of the code bytes.
pub(crate) fn invalid_code(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}

/// Runs dispatches of one program.
pub(crate) struct InterpExecutor {
    program: Arc<InterpProgram>,
    arena: Vec<u8>,
    states: Vec<Vec<u8>>,
    prepared: Prepared,
}

impl InterpExecutor {
    pub(crate) fn new(program: Arc<InterpProgram>) -> Self {
        Self { program, arena: Vec::new(), states: Vec::new(), prepared: Prepared::default() }
    }

    fn check(&self, dispatch: &Dispatch, prepared: &Prepared) -> Result<(), DeviceError> {
        let Some(kernel) = self.program.kernels.get(dispatch.kernel as usize) else {
            return invalid(format!("there is no kernel {}", dispatch.kernel));
        };
        let given = (dispatch.buffers.len(), dispatch.symbols.len());
        if given != (kernel.buffers.len(), kernel.symbols.len()) {
            return invalid(format!("kernel `{}` gets {} buffers and {} symbols", kernel.name, given.0, given.1));
        }
        for (buffer, decl) in dispatch.buffers.iter().zip(&kernel.buffers) {
            let BufferRef { region, offset, bytes } = buffer;
            let len = self.region_bytes(*region, prepared);
            if offset.checked_add(*bytes).is_none_or(|end| end > len) {
                return invalid(format!("{bytes} bytes at {offset} of {region:?}, which has {len} bytes"));
            }
            if decl.writable && matches!(region, Region::Weights | Region::Input(_)) {
                return invalid(format!("kernel `{}` writes to {region:?}", kernel.name));
            }
        }
        Ok(())
    }

    fn region_bytes(&self, region: Region, prepared: &Prepared) -> u64 {
        let size = |sizes: &[u64], tensor: u32| sizes.get(tensor as usize).copied().unwrap_or(0);
        match region {
            Region::Weights => (*self.program.weights).as_ref().len() as u64,
            Region::Arena => prepared.arena_bytes,
            Region::State(tensor) => size(&prepared.state_bytes, tensor),
            Region::Input(tensor) => size(&prepared.input_bytes, tensor),
            Region::Output(tensor) => size(&prepared.output_bytes, tensor),
        }
    }

    fn view<'a>(&'a self, buffer: &BufferRef, io: &'a Io<'_>) -> Result<&'a [u8], DeviceError> {
        let region: Option<&[u8]> = match buffer.region {
            Region::Weights => Some((*self.program.weights).as_ref()),
            Region::Arena => Some(&self.arena),
            Region::State(tensor) => self.states.get(tensor as usize).map(Vec::as_slice),
            Region::Input(tensor) => io.inputs.get(tensor as usize).copied(),
            Region::Output(tensor) => io.outputs.get(tensor as usize).map(|output| &**output),
        };
        region.and_then(|bytes| bytes.get(range(buffer))).ok_or_else(|| outside(buffer))
    }

    fn write_back(&mut self, buffer: &BufferRef, bytes: &[u8], io: &mut Io<'_>) -> Result<(), DeviceError> {
        let region: Option<&mut [u8]> = match buffer.region {
            Region::Weights | Region::Input(_) => None,
            Region::Arena => Some(&mut self.arena),
            Region::State(tensor) => self.states.get_mut(tensor as usize).map(Vec::as_mut_slice),
            Region::Output(tensor) => io.outputs.get_mut(tensor as usize).map(|output| &mut **output),
        };
        let target = region.and_then(|region| region.get_mut(range(buffer)));
        let target = target.filter(|target| target.len() == bytes.len()).ok_or_else(|| outside(buffer))?;
        target.copy_from_slice(bytes);
        Ok(())
    }

    /// Runs a kernel on copies of its buffers, which may overlap, and copies back what it writes.
    fn step(&mut self, dispatch: &Dispatch, io: &mut Io<'_>) -> Result<(), DeviceError> {
        let program = Arc::clone(&self.program);
        let Some(kernel) = program.kernels.get(dispatch.kernel as usize) else { return Ok(()) };
        let copy = |buffer: &BufferRef| self.view(buffer, io).map(<[u8]>::to_vec);
        let mut copies = dispatch.buffers.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
        let mut buffers: Vec<&mut [u8]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
        let ran = eval_kernel(kernel, &mut buffers, &dispatch.symbols);
        ran.map_err(|error| invalid_code(format!("kernel `{}`: {error}", kernel.name)))?;
        let written = dispatch.buffers.iter().zip(&kernel.buffers).zip(&copies).filter(|((_, decl), _)| decl.writable);
        for ((buffer, _), bytes) in written {
            self.write_back(buffer, bytes, io)?;
        }
        Ok(())
    }

    /// Runs all dispatches and tells how long each took.
    fn run_all(&mut self, io: &mut Io<'_>, finished: impl FnMut(usize, f64)) -> Result<(), DeviceError> {
        self.run_some(0..self.prepared.dispatches.len(), io, finished)
    }

    /// Runs the dispatches at these positions and tells how long each took.
    fn run_some(&mut self, part: Range<usize>, io: &mut Io<'_>, mut finished: impl FnMut(usize, f64)) -> Result<(), DeviceError> {
        check_sizes("input", io.inputs.iter().map(|tensor| tensor.len()), &self.prepared.input_bytes)?;
        check_sizes("output", io.outputs.iter().map(|tensor| tensor.len()), &self.prepared.output_bytes)?;
        let dispatches = std::mem::take(&mut self.prepared.dispatches);
        let ran = part.into_iter().try_for_each(|position| {
            let dispatch = dispatches.get(position).ok_or_else(|| missing(position))?;
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
        prepared.dispatches.iter().try_for_each(|dispatch| self.check(dispatch, prepared))?;
        resize(&mut self.arena, prepared.arena_bytes)?;
        self.states.resize(prepared.state_bytes.len(), Vec::new());
        for (state, bytes) in self.states.iter_mut().zip(&prepared.state_bytes) {
            if state.len() as u64 != *bytes {
                state.clear();
                resize(state, *bytes)?;
            }
        }
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
        self.states.get_mut(index).map(Vec::as_mut_slice).ok_or_else(|| DeviceError::no_state(index))
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
        let bytes = self.view(from, io)?;
        if bytes.len() != to.len() {
            return Err(outside(from));
        }
        to.copy_from_slice(bytes);
        Ok(())
    }

    fn write(&mut self, to: &BufferRef, io: &mut Io<'_>, from: &[u8]) -> Result<(), DeviceError> {
        self.write_back(to, from, io)
    }

    fn deliver(&mut self, _output: u32, _io: &mut Io<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn range(buffer: &BufferRef) -> Range<usize> {
    buffer.offset as usize..buffer.offset.saturating_add(buffer.bytes) as usize
}

/// Brings memory to a size; what is kept when the size stays the same is all of it, and nothing otherwise.
pub(crate) fn resize(memory: &mut Vec<u8>, bytes: u64) -> Result<(), DeviceError> {
    if memory.len() as u64 == bytes {
        return Ok(());
    }
    let problem = || format!("{bytes} bytes of working memory cannot be had");
    let missing = || DeviceError::LimitExceeded { resource: "memory", problem: problem() };
    let count = usize::try_from(bytes).map_err(|_| missing())?;
    let mut fresh = Vec::new();
    fresh.try_reserve_exact(count).map_err(|_| missing())?;
    fresh.resize(count, 0);
    *memory = fresh;
    Ok(())
}

fn check_sizes(kind: &str, given: impl Iterator<Item = usize>, expected: &[u64]) -> Result<(), DeviceError> {
    let given: Vec<u64> = given.map(|bytes| bytes as u64).collect();
    if given == expected { Ok(()) } else { invalid(format!("{kind} tensors have {given:?} bytes, not {expected:?}")) }
}

fn outside(buffer: &BufferRef) -> DeviceError {
    DeviceError::InvalidPlan { problem: format!("{buffer:?} does not exist or cannot be written") }
}

fn missing(dispatch: usize) -> DeviceError {
    DeviceError::InvalidPlan { problem: format!("there is no dispatch {dispatch}") }
}

fn invalid<T>(problem: String) -> Result<T, DeviceError> {
    Err(DeviceError::InvalidPlan { problem })
}
