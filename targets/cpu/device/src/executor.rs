//! One session: working memory, threads, and the dispatches it was prepared for.

mod parts;

use crate::mapping::{KernelFn, Mapping};
use crate::memory::Memory;
use crate::pool::{Job, Pool};
use lostwax_target_api::{
    BufferRef, DeviceError, DeviceIo, Dispatch, Executor, Io, OnDevice, PartialExecutor, Prepared, Region, WeightBytes,
};
use std::sync::Arc;
use std::time::Instant;

/// A checked dispatch. Its pointers and symbols start at these positions of the executor's tables.
struct BoundDispatch {
    kernel: KernelFn,
    pointers: usize,
    symbols: usize,
    items: u64,
}

/// A pointer that depends on the tensors of the run.
struct Patch {
    slot: usize,
    output: bool,
    tensor: usize,
    offset: usize,
}

/// The tables that a run follows.
#[derive(Default)]
struct DispatchTable {
    steps: Vec<BoundDispatch>,
    pointers: Vec<*mut u8>,
    symbols: Vec<i64>,
    patches: Vec<Patch>,
    input_bytes: Vec<u64>,
    output_bytes: Vec<u64>,
}

impl DispatchTable {
    /// Removes all entries and keeps the memory for new ones.
    fn clear(&mut self) {
        let Self { steps, pointers, symbols, patches, input_bytes, output_bytes } = self;
        steps.clear();
        pointers.clear();
        symbols.clear();
        patches.clear();
        input_bytes.clear();
        output_bytes.clear();
    }
}

/// Mapped code and the weights it runs on.
pub(crate) struct CpuProgram {
    pub(crate) code: Mapping,
    pub(crate) weights: WeightBytes,
}

/// Runs dispatches of one program.
pub(crate) struct CpuExecutor {
    program: Arc<CpuProgram>,
    pool: Pool,
    arena: Memory,
    states: Vec<Memory>,
    steps: DispatchTable,
}

// SAFETY: the pointers in `steps` lead to memory that the executor owns or keeps alive, or are rewritten by every run.
unsafe impl Send for CpuExecutor {}

impl CpuExecutor {
    pub(crate) fn new(program: Arc<CpuProgram>, threads: usize) -> Result<Self, DeviceError> {
        let (pool, arena) = (Pool::new(threads)?, Memory::new(0)?);
        Ok(Self { program, pool, arena, states: Vec::new(), steps: DispatchTable::default() })
    }

    fn allocate(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        if self.arena.len() < prepared.arena_bytes {
            self.arena = self.larger_arena(prepared.arena_bytes)?;
        }
        self.states.truncate(prepared.state_bytes.len());
        for (position, bytes) in prepared.state_bytes.iter().enumerate() {
            match self.states.get_mut(position) {
                Some(state) if state.len() == *bytes => {}
                Some(state) => *state = Memory::new(*bytes)?,
                None => self.states.push(Memory::new(*bytes)?),
            }
        }
        Ok(())
    }

    /// Memory of that size, with spare room if it has grown before: a language model needs a little more for each token.
    fn larger_arena(&self, bytes: u64) -> Result<Memory, DeviceError> {
        let spare = if self.arena.len() == 0 { 0 } else { bytes / 4 };
        Memory::new(bytes.saturating_add(spare)).or_else(|_| Memory::new(bytes))
    }

    fn add_step(&self, steps: &mut DispatchTable, dispatch: &Dispatch, prepared: &Prepared) -> Result<(), DeviceError> {
        let Some((kernel, entry)) = self.program.code.kernel(dispatch.kernel) else {
            return Err(DeviceError::no_kernel(dispatch.kernel));
        };
        let given = (dispatch.buffers.len(), dispatch.symbols.len());
        if given != (entry.buffers as usize, entry.symbols as usize) {
            return invalid(format!("kernel {} gets {} buffers and {} symbols", dispatch.kernel, given.0, given.1));
        }
        if i64::try_from(dispatch.grid).is_err() {
            return invalid(format!("a grid of {} work items", dispatch.grid));
        }
        let (pointers, symbols) = (steps.pointers.len(), steps.symbols.len());
        for buffer in &dispatch.buffers {
            self.add_buffer(steps, buffer, prepared)?;
        }
        steps.symbols.extend(&dispatch.symbols);
        steps.steps.push(BoundDispatch { kernel, pointers, symbols, items: dispatch.grid });
        Ok(())
    }

    fn add_buffer(&self, steps: &mut DispatchTable, buffer: &BufferRef, prepared: &Prepared) -> Result<(), DeviceError> {
        let weights = (*self.program.weights).as_ref();
        let missing = std::ptr::null_mut();
        let size = |sizes: &[u64], tensor: u32| sizes.get(tensor as usize).copied().unwrap_or(0);
        let (start, len) = match buffer.region {
            Region::Weights => (weights.as_ptr().cast_mut(), weights.len() as u64),
            Region::Arena => (self.arena.start(), prepared.arena_bytes),
            Region::State(tensor) => self.states.get(tensor as usize).map_or((missing, 0), |state| (state.start(), state.len())),
            Region::Input(tensor) => (missing, size(&prepared.input_bytes, tensor)),
            Region::Output(tensor) => (missing, size(&prepared.output_bytes, tensor)),
        };
        if buffer.offset.checked_add(buffer.bytes).is_none_or(|end| end > len) {
            let BufferRef { region, offset, bytes } = buffer;
            return invalid(format!("{bytes} bytes at {offset} of {region:?}, which has {len} bytes"));
        }
        let offset = buffer.offset as usize;
        if let Region::Input(tensor) | Region::Output(tensor) = buffer.region {
            let output = matches!(buffer.region, Region::Output(_));
            steps.patches.push(Patch { slot: steps.pointers.len(), output, tensor: tensor as usize, offset });
        }
        steps.pointers.push(start.wrapping_add(offset));
        Ok(())
    }

    /// Checks the tensors of a run and writes their addresses into the table.
    fn patch(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        check_sizes("input", io.inputs.iter().map(|tensor| tensor.len()), &self.steps.input_bytes)?;
        check_sizes("output", io.outputs.iter().map(|tensor| tensor.len()), &self.steps.output_bytes)?;
        for patch in &self.steps.patches {
            let start = match patch.output {
                true => io.outputs.get_mut(patch.tensor).map(|tensor| tensor.as_mut_ptr()),
                false => io.inputs.get(patch.tensor).map(|tensor| tensor.as_ptr().cast_mut()),
            };
            self.steps.pointers[patch.slot] = start.unwrap_or(std::ptr::null_mut()).wrapping_add(patch.offset);
        }
        Ok(())
    }

    fn job(&self, step: &BoundDispatch) -> Job {
        let buffers = self.steps.pointers[step.pointers..].as_ptr();
        let symbols = self.steps.symbols[step.symbols..].as_ptr();
        Job { kernel: step.kernel, buffers, symbols, items: step.items }
    }

    fn run_timed(&mut self, position: usize, total: &mut f64) {
        let start = Instant::now();
        self.run_step(position);
        *total += start.elapsed().as_secs_f64();
    }

    fn run_step(&mut self, position: usize) {
        let job = self.job(&self.steps.steps[position]);
        // SAFETY: `prepare` checked that the buffers lie in their regions and are as many as the kernel takes, `patch` that the
        // tensors have the sizes it checked against. We hold exclusive references to everything that may be written. The target
        // guarantees that a kernel stays within its buffers.
        unsafe { self.pool.run(job) };
    }
}

impl Executor for CpuExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        let mut steps = std::mem::take(&mut self.steps);
        steps.clear();
        self.allocate(prepared)?;
        for dispatch in &prepared.dispatches {
            self.add_step(&mut steps, dispatch, prepared)?;
        }
        steps.input_bytes.extend_from_slice(&prepared.input_bytes);
        steps.output_bytes.extend_from_slice(&prepared.output_bytes);
        self.steps = steps;
        Ok(())
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.patch(io)?;
        (0..self.steps.steps.len()).for_each(|position| self.run_step(position));
        Ok(())
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        self.patch(io)?;
        seconds.resize(self.steps.steps.len(), 0.0);
        seconds.iter_mut().enumerate().for_each(|(position, total)| self.run_timed(position, total));
        Ok(())
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        self.states.get_mut(index).map(Memory::bytes_mut).ok_or_else(|| DeviceError::no_state(index))
    }

    fn partial(&mut self) -> Option<&mut dyn PartialExecutor> {
        Some(self)
    }

    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        Some(self)
    }
}

impl OnDevice for CpuExecutor {
    fn run_on_device(&mut self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError> {
        io.as_host::<Memory>(|io| self.run(io))
    }
}

fn check_sizes(kind: &str, given: impl ExactSizeIterator<Item = usize>, expected: &[u64]) -> Result<(), DeviceError> {
    if given.len() != expected.len() {
        return invalid(format!("{} {kind} tensors where {} are expected", given.len(), expected.len()));
    }
    for (position, (given, expected)) in given.zip(expected).enumerate() {
        if given as u64 != *expected {
            return invalid(format!("{kind} {position} has {given} bytes, not {expected}"));
        }
    }
    Ok(())
}

fn invalid<T>(problem: String) -> Result<T, DeviceError> {
    Err(DeviceError::InvalidPlan { problem })
}
