//! One session: its memory, and a table of dispatches that a run submits at once.

mod on_device;
mod parts;

use crate::bindings::Bindings;
use crate::errors::{invalid, lost, unsupported};
use crate::format::parameter_words;
use crate::memory::{Memory, Use, padded};
use crate::parameters::{index, put, too_many};
use crate::profile::Clock;
use crate::program::{GpuProgram, Kernel};
use crate::space::{BindingRange, Piece, Slot, Space};
use lostwax_target_api::{DeviceError, Dispatch, Executor, Io, OnDevice, PartialExecutor, Prepared, Program, Region};
use std::sync::Arc;
use wgpu::{BindGroup, CommandEncoder, ComputePass};

/// Runs dispatches of one program.
pub(crate) struct GpuExecutor {
    program: Arc<GpuProgram>,
    space: Space,
    /// All outputs, one after another.
    results: Memory,
    /// The integers of all dispatches, in GPU memory and as they are assembled.
    parameters: Memory,
    integers: Vec<u8>,
    /// The bytes that the integers of one dispatch take, before those of the next.
    slot: u64,
    bindings: Bindings,
    steps: Vec<BoundDispatch>,
    /// The steps that are bound anew where an input or output lies elsewhere.
    movable: Vec<Movable>,
    /// Whether all steps are bound to where inputs and outputs lie now.
    is_bound: bool,
    /// The sizes that the memory was made for.
    sizes: Prepared,
}

/// One dispatch.
struct BoundDispatch {
    kernel: usize,
    /// What it is bound to; nothing if the grid is empty.
    binding: Option<BindGroup>,
    /// Where its integers begin.
    parameters: u32,
    workgroups: (u32, u32),
}

/// A step that takes inputs or outputs.
struct Movable {
    step: usize,
    pieces: Vec<Piece>,
}

impl Program for GpuProgram {
    fn kernel_count(&self) -> usize {
        self.kernels.len()
    }

    fn executor(self: Arc<Self>, _threads: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(GpuExecutor::new(self)?))
    }
}

impl GpuExecutor {
    fn new(program: Arc<GpuProgram>) -> Result<Self, DeviceError> {
        let (gpu, space) = (&program.gpu, Space::new(Arc::clone(&program))?);
        let results = Memory::new(gpu, Use::readable("all outputs"), 0)?;
        let parameters = Memory::new(gpu, Use::uniform("the parameters of all kernels"), 0)?;
        let (integers, bindings, steps, movable) = (Vec::new(), Bindings::default(), Vec::new(), Vec::new());
        let (slot, is_bound, sizes) = (slot(&program), true, Prepared::default());
        Ok(Self { program, space, results, parameters, integers, slot, bindings, steps, movable, is_bound, sizes })
    }

    /// Resizes all memory.
    fn allocate(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        let gpu = &self.program.gpu;
        let parameters = self.slot.saturating_mul(prepared.dispatches.len() as u64);
        if u32::try_from(parameters).is_err() {
            let problem = format!("{} dispatches take {parameters} bytes", prepared.dispatches.len());
            return Err(DeviceError::LimitExceeded { resource: "parameters of kernels", problem });
        }
        let moved = self.parameters.resize(gpu, parameters)?;
        if self.space.fit(prepared)? | moved {
            self.bindings.clear();
        }
        let results = prepared.output_bytes.iter().fold(0u64, |sum, bytes| sum.saturating_add(padded(*bytes)));
        self.results.resize(gpu, results).map(|_| ())
    }

    fn fill(&mut self, dispatches: &[Dispatch]) -> Result<(), DeviceError> {
        let slot = self.slot as usize;
        self.integers.clear();
        self.bindings.begin();
        for (position, dispatch) in dispatches.iter().enumerate() {
            let step = self.step(dispatch)?;
            self.steps.push(step);
            self.integers.resize(slot.saturating_mul(position + 1), 0);
        }
        self.parameters.write(&self.program.gpu, &self.integers)
    }

    /// Checks a dispatch, puts its integers behind those of the ones before, and binds its memory.
    fn step(&mut self, dispatch: &Dispatch) -> Result<BoundDispatch, DeviceError> {
        let Some(kernel) = self.program.kernels.get(dispatch.kernel as usize) else {
            return Err(DeviceError::no_kernel(dispatch.kernel));
        };
        let given = (dispatch.buffers.len(), dispatch.symbols.len());
        if given != (kernel.arguments.len(), kernel.symbols as usize) {
            return Err(invalid(format!("kernel `{}` gets {} buffers and {} symbols", kernel.name, given.0, given.1)));
        }
        let parameters = self.integers.len() as u32;
        put(&mut self.integers, index(i128::from(dispatch.grid), "work items")?);
        for symbol in &dispatch.symbols {
            put(&mut self.integers, index(i128::from(*symbol), "as the value of a symbol")?);
        }
        let mut pieces = Vec::with_capacity(given.0);
        for argument in 0..given.0 {
            let (of_argument, base) = self.space.pieces(kernel, dispatch, argument)?;
            pieces.extend(of_argument);
            put(&mut self.integers, base);
        }
        let most = self.program.gpu.limits.max_compute_workgroups_per_dimension;
        let workgroups = kernel.workgroups(dispatch.grid, most).ok_or_else(|| too_many(dispatch.grid.into(), "work items"))?;
        let mut step = BoundDispatch { kernel: dispatch.kernel as usize, binding: None, parameters, workgroups };
        if dispatch.grid > 0 {
            step.binding = Some(self.bind(step.kernel, &pieces)?);
            if pieces.iter().any(|piece| matches!(piece.region, Region::Input(_) | Region::Output(_))) {
                self.movable.push(Movable { step: self.steps.len(), pieces });
            }
        }
        Ok(step)
    }

    /// The binding of pieces to where they lie now.
    fn bind(&mut self, kernel: usize, pieces: &[Piece]) -> Result<BindGroup, DeviceError> {
        let Self { program, space, bindings, parameters, slot, .. } = self;
        let Some(kernel) = program.kernels.get(kernel) else { return Err(invalid(format!("there is no kernel {kernel}"))) };
        let ranges: Vec<BindingRange> = pieces.iter().map(|piece| space.range(piece)).collect();
        bindings.get(&program.gpu, kernel, &ranges, space, (parameters, *slot))
    }

    /// Copies the inputs, and the states that the host has changed, to the GPU.
    fn send(&mut self, io: &Io<'_>) -> Result<(), DeviceError> {
        check_sizes("input", io.inputs.iter().map(|tensor| tensor.len() as u64), &self.sizes.input_bytes)?;
        check_sizes("output", io.outputs.iter().map(|tensor| tensor.len() as u64), &self.sizes.output_bytes)?;
        self.bind_own()?;
        let gpu = &self.program.gpu;
        self.space.inputs.iter().zip(io.inputs).try_for_each(|(slot, tensor)| slot.memory().write(gpu, tensor))?;
        self.send_states()
    }

    fn send_states(&mut self) -> Result<(), DeviceError> {
        for state in &mut self.space.states {
            if let Some(shown) = state.shown.take() {
                state.memory.write(&self.program.gpu, &shown)?;
            }
        }
        Ok(())
    }

    fn record(&self, step: &BoundDispatch, pass: &mut ComputePass<'_>) {
        if let (Some(kernel), Some(binding)) = (self.program.kernels.get(step.kernel), &step.binding) {
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, binding, &[step.parameters]);
            pass.dispatch_workgroups(step.workgroups.0, step.workgroups.1, 1);
        }
    }

    /// Submits commands.
    fn submit(&self, commands: impl FnOnce(&mut CommandEncoder)) -> Result<(), DeviceError> {
        self.program.gpu.submit(lost, commands)
    }

    /// Collects the outputs that go to the host.
    fn collect(&self, encoder: &mut CommandEncoder) {
        let mut offset = 0;
        for output in self.space.outputs.iter().filter(|output| output.is_own()).map(Slot::memory) {
            output.copy_to(&self.results, offset, encoder);
            offset += padded(output.bytes);
        }
    }

    fn receive(&self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.results.read(&self.program.gpu, io.outputs.iter_mut().map(|output| &mut **output))
    }

    fn record_all(&self, steps: &[BoundDispatch], encoder: &mut CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        steps.iter().for_each(|step| self.record(step, &mut pass));
    }

    /// Runs steps, and adds the seconds that each took.
    fn time_all(&self, steps: &[BoundDispatch], seconds: &mut [f64]) -> Result<(), DeviceError> {
        if !self.program.gpu.has_clock() {
            let gpu = self.program.gpu.description();
            return Err(unsupported(format!("profiles: {gpu} has no timestamp queries; measure whole runs instead")));
        }
        let mut chunks = steps.chunks(Clock::MOST).zip(seconds.chunks_mut(Clock::MOST));
        chunks.try_for_each(|(steps, seconds)| self.time(steps, seconds))
    }

    /// Runs a few steps, and adds the seconds that each took.
    fn time(&self, steps: &[BoundDispatch], seconds: &mut [f64]) -> Result<(), DeviceError> {
        let clock = Clock::new(&self.program.gpu, steps.len())?;
        self.submit(|encoder| {
            for (position, step) in steps.iter().enumerate() {
                self.record(step, &mut clock.pass(position, encoder));
            }
            clock.stop(encoder);
        })?;
        clock.add(&self.program.gpu, seconds)
    }

    fn show(&self, memory: &Memory) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = vec![0; memory.bytes as usize];
        memory.fetch(&self.program.gpu, lost, &mut bytes)?;
        Ok(bytes)
    }
}

impl Executor for GpuExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.steps.clear();
        self.movable.clear();
        self.is_bound = true;
        self.sizes = Prepared::default();
        self.allocate(prepared)?;
        self.fill(&prepared.dispatches)?;
        self.sizes = Prepared {
            input_bytes: prepared.input_bytes.clone(),
            output_bytes: prepared.output_bytes.clone(),
            ..Default::default()
        };
        Ok(())
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.send(io)?;
        self.submit(|encoder| {
            self.record_all(&self.steps, encoder);
            self.collect(encoder);
        })?;
        self.receive(io)
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.resize(self.steps.len(), 0.0);
        self.send(io)?;
        self.time_all(&self.steps, seconds)?;
        self.submit(|encoder| self.collect(encoder))?;
        self.receive(io)
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        let missing = || DeviceError::no_state(index);
        let state = self.space.states.get(index).ok_or_else(missing)?;
        let fresh = if state.shown.is_none() { Some(self.show(&state.memory)?) } else { None };
        let state = self.space.states.get_mut(index).ok_or_else(missing)?;
        state.shown = fresh.or(state.shown.take());
        state.shown.as_deref_mut().ok_or_else(missing)
    }

    fn partial(&mut self) -> Option<&mut dyn PartialExecutor> {
        Some(self)
    }

    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        Some(self)
    }
}

/// The bytes that the integers of any dispatch of a program take, such that the next may follow.
fn slot(program: &GpuProgram) -> u64 {
    let words = |kernel: &Kernel| parameter_words(kernel.symbols as usize, kernel.arguments.len());
    let most = program.kernels.iter().map(words).max().unwrap_or(1) as u64 * 4;
    most.next_multiple_of(16).next_multiple_of(program.gpu.limits.min_uniform_buffer_offset_alignment.into())
}

fn check_sizes(kind: &str, given: impl Iterator<Item = u64>, expected: &[u64]) -> Result<(), DeviceError> {
    let given: Vec<u64> = given.collect();
    if given == expected { Ok(()) } else { Err(invalid(format!("{kind} tensors have {given:?} bytes, not {expected:?}"))) }
}
