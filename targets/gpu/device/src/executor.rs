//! One session: its memory, and a table of dispatches that a run hands over at once.

mod parts;

use crate::format::{WORKGROUP, parameter_words};
use crate::gpu::{Gpu, lost};
use crate::memory::{Memory, padded};
use crate::program::{GpuProgram, Kernel};
use lostwax_target_api::{BufferRef, DeviceError, Dispatch, Executor, Io, Parts, Prepared, Region};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;
use wgpu::{BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, CommandEncoder};

/// Runs dispatches of one program.
pub(crate) struct GpuExecutor {
    program: Arc<GpuProgram>,
    arena: Memory,
    states: Vec<State>,
    inputs: Vec<Memory>,
    outputs: Vec<Memory>,
    /// All outputs, one after another.
    results: Memory,
    parameters: Memory,
    steps: Vec<Step>,
    /// The sizes that the memory was made for.
    sizes: Prepared,
}

/// A tensor that lives as long as the executor.
struct State {
    memory: Memory,
    /// What the host was given to look at or change since the last run.
    shown: Option<Vec<u8>>,
}

/// One dispatch, or none if there are no work items.
struct Step {
    kernel: usize,
    binding: Option<BindGroup>,
    groups: (u32, u32),
}

/// The part of an allocation that an argument lies in.
struct Part {
    start: u64,
    size: u64,
    /// The element of the part at which the argument begins.
    base: i32,
}

impl GpuExecutor {
    pub(crate) fn new(program: Arc<GpuProgram>) -> Result<Self, DeviceError> {
        let gpu = &program.gpu;
        let (arena, results) = (Memory::storage(gpu, 0)?, Memory::readable(gpu, 0)?);
        let parameters = Memory::uniform(gpu, 0)?;
        let (states, inputs, outputs, steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { program, arena, states, inputs, outputs, results, parameters, steps, sizes: Prepared::default() })
    }

    /// Brings all memory to the sizes given.
    fn allocate(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        let gpu = Arc::clone(&self.program.gpu);
        if self.arena.bytes != prepared.arena_bytes {
            self.arena = Memory::storage(&gpu, prepared.arena_bytes)?;
        }
        resize(&gpu, &mut self.inputs, &prepared.input_bytes)?;
        resize(&gpu, &mut self.outputs, &prepared.output_bytes)?;
        self.states.truncate(prepared.state_bytes.len());
        for (position, bytes) in prepared.state_bytes.iter().enumerate() {
            let fresh = |gpu: &Gpu| Ok(State { memory: Memory::storage(gpu, *bytes)?, shown: None });
            match self.states.get_mut(position) {
                None => self.states.push(fresh(&gpu)?),
                Some(state) if state.memory.bytes != *bytes => *state = fresh(&gpu)?,
                Some(_) => {}
            }
        }
        let results = prepared.output_bytes.iter().fold(0u64, |sum, bytes| sum.saturating_add(padded(*bytes)));
        if self.results.bytes != results {
            self.results = Memory::readable(&gpu, results)?;
        }
        Ok(())
    }

    fn memory(&self, region: Region) -> Option<&Memory> {
        match region {
            Region::Weights => Some(&self.program.weights),
            Region::Arena => Some(&self.arena),
            Region::State(tensor) => self.states.get(tensor as usize).map(|state| &state.memory),
            Region::Input(tensor) => self.inputs.get(tensor as usize),
            Region::Output(tensor) => self.outputs.get(tensor as usize),
        }
    }

    /// The bytes that the integers of one dispatch take, before those of the next.
    fn slot(&self) -> u64 {
        let words = |kernel: &Kernel| parameter_words(kernel.symbols as usize, kernel.arguments.len());
        let most = self.program.kernels.iter().map(words).max().unwrap_or(1) as u64 * 4;
        most.next_multiple_of(16).next_multiple_of(self.program.gpu.limits.min_uniform_buffer_offset_alignment.into())
    }

    fn fill(&mut self, dispatches: &[Dispatch]) -> Result<(), DeviceError> {
        let (gpu, slot) = (Arc::clone(&self.program.gpu), self.slot());
        let bytes = slot.saturating_mul(dispatches.len() as u64);
        if self.parameters.bytes < bytes {
            self.parameters = Memory::uniform(&gpu, bytes)?;
        }
        let mut parameters = Vec::new();
        let mut steps = Vec::with_capacity(dispatches.len());
        for (position, dispatch) in dispatches.iter().enumerate() {
            let offset = slot.saturating_mul(position as u64);
            steps.push(self.step(dispatch, offset, &mut parameters)?);
            parameters.resize(offset.saturating_add(slot) as usize, 0);
        }
        self.steps = steps;
        self.parameters.write(&gpu, &parameters)
    }

    /// Checks a dispatch, writes its integers, and binds its memory.
    fn step(&self, dispatch: &Dispatch, offset: u64, parameters: &mut Vec<u8>) -> Result<Step, DeviceError> {
        let Some(kernel) = self.program.kernels.get(dispatch.kernel as usize) else {
            return invalid(format!("there is no kernel {}", dispatch.kernel));
        };
        let given = (dispatch.buffers.len(), dispatch.symbols.len());
        if given != (kernel.arguments.len(), kernel.symbols as usize) {
            return invalid(format!("kernel `{}` gets {} buffers and {} symbols", kernel.name, given.0, given.1));
        }
        let parts = (0..given.0).map(|argument| self.part(kernel, dispatch, argument)).collect::<Result<Vec<_>, _>>()?;
        put(parameters, index(i128::from(dispatch.grid), "work items")?);
        for symbol in &dispatch.symbols {
            put(parameters, index(i128::from(*symbol), "as the value of a symbol")?);
        }
        parts.iter().for_each(|part| put(parameters, part.base));
        let groups = self.groups(kernel, dispatch.grid)?;
        let binding = if dispatch.grid == 0 { None } else { Some(self.bind(kernel, dispatch, &parts, offset)?) };
        Ok(Step { kernel: dispatch.kernel as usize, binding, groups })
    }

    fn part(&self, kernel: &Kernel, dispatch: &Dispatch, argument: usize) -> Result<Part, DeviceError> {
        let (buffer, declared) = match (dispatch.buffers.get(argument), kernel.arguments.get(argument)) {
            (Some(buffer), Some(declared)) => (buffer, declared),
            _ => return invalid(format!("kernel `{}` has no argument {argument}", kernel.name)),
        };
        let BufferRef { region, offset, bytes } = *buffer;
        let len = self.memory(region).map_or(0, |memory| memory.bytes);
        let Some(end) = offset.checked_add(bytes).filter(|end| *end <= len) else {
            return invalid(format!("{bytes} bytes at {offset} of {region:?}, which has {len} bytes"));
        };
        if declared.writable && matches!(region, Region::Weights | Region::Input(_)) {
            return invalid(format!("kernel `{}` writes to {region:?}", kernel.name));
        }
        let element = u64::from(declared.element);
        if !offset.is_multiple_of(element) {
            return invalid(format!("byte {offset} of {region:?} is not where an element of {element} bytes can begin"));
        }
        self.aligned(offset, end, element)
    }

    /// The least part that may be bound.
    fn aligned(&self, offset: u64, end: u64, element: u64) -> Result<Part, DeviceError> {
        let limits = &self.program.gpu.limits;
        let start = offset - offset % u64::from(limits.min_storage_buffer_offset_alignment).max(1);
        let size = (end - start).next_multiple_of(16).max(16);
        let most = limits.max_storage_buffer_binding_size;
        if size > most {
            let problem = format!("a tensor of {} bytes; {} takes at most {most}", end - offset, self.program.gpu.description());
            return Err(DeviceError::LimitExceeded { resource: "memory that a kernel can address", problem });
        }
        index(i128::from(size / element), "elements of a tensor")?;
        Ok(Part { start, size, base: index(i128::from((offset - start) / element), "elements")? })
    }

    /// The workgroups of a dispatch, in two dimensions.
    fn groups(&self, kernel: &Kernel, grid: u64) -> Result<(u32, u32), DeviceError> {
        let most = u64::from(self.program.gpu.limits.max_compute_workgroups_per_dimension).max(1);
        let count = if kernel.threads == 0 { grid.div_ceil(WORKGROUP.into()) } else { grid };
        let (x, y) = (count.clamp(1, most), count.div_ceil(most));
        if y > most {
            return Err(too_many(grid.into(), "work items"));
        }
        Ok((x as u32, y as u32))
    }

    fn bind(&self, kernel: &Kernel, dispatch: &Dispatch, parts: &[Part], offset: u64) -> Result<BindGroup, DeviceError> {
        let mut entries = Vec::with_capacity(parts.len() + 1);
        for ((binding, part), buffer) in (0..).zip(parts).zip(&dispatch.buffers) {
            let Some(memory) = self.memory(buffer.region) else { return invalid(format!("there is no {:?}", buffer.region)) };
            entries.push(entry(binding, memory, part.start, part.size));
        }
        let words = parameter_words(kernel.symbols as usize, parts.len()) as u64;
        entries.push(entry(parts.len() as u32, &self.parameters, offset, (words * 4).next_multiple_of(16)));
        let descriptor = BindGroupDescriptor { label: None, layout: &kernel.layout, entries: &entries };
        let refused = |problem| DeviceError::InvalidPlan { problem };
        self.program.gpu.guarded(refused, || self.program.gpu.device.create_bind_group(&descriptor))
    }

    /// Brings the inputs, and what the host changed of the states, to the processor.
    fn send(&mut self, io: &Io<'_>) -> Result<(), DeviceError> {
        check_sizes("input", io.inputs.iter().map(|tensor| tensor.len()), &self.sizes.input_bytes)?;
        check_sizes("output", io.outputs.iter().map(|tensor| tensor.len()), &self.sizes.output_bytes)?;
        let gpu = &self.program.gpu;
        self.inputs.iter().zip(io.inputs).try_for_each(|(memory, tensor)| memory.write(gpu, tensor))?;
        for state in &mut self.states {
            if let Some(shown) = state.shown.take() {
                state.memory.write(gpu, &shown)?;
            }
        }
        Ok(())
    }

    fn record(&self, steps: &[Step], encoder: &mut CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for step in steps {
            if let (Some(kernel), Some(binding)) = (self.program.kernels.get(step.kernel), &step.binding) {
                pass.set_pipeline(&kernel.pipeline);
                pass.set_bind_group(0, binding, &[]);
                pass.dispatch_workgroups(step.groups.0, step.groups.1, 1);
            }
        }
    }

    /// Hands commands over to the processor.
    fn submit(&self, commands: impl FnOnce(&mut CommandEncoder)) -> Result<(), DeviceError> {
        let gpu = &self.program.gpu;
        gpu.guarded(lost, || {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            commands(&mut encoder);
            gpu.queue.submit([encoder.finish()]);
        })
    }

    fn collect(&self, encoder: &mut CommandEncoder) {
        let mut offset = 0;
        for output in &self.outputs {
            output.copy_to(&self.results, offset, encoder);
            offset += padded(output.bytes);
        }
    }

    fn receive(&self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.results.read(&self.program.gpu, io.outputs.iter_mut().map(|output| &mut **output))
    }

    fn show(&self, memory: &Memory) -> Result<Vec<u8>, DeviceError> {
        let copy = Memory::readable(&self.program.gpu, memory.bytes)?;
        self.submit(|encoder| memory.copy_to(&copy, 0, encoder))?;
        let mut bytes = vec![0; memory.bytes as usize];
        copy.read(&self.program.gpu, [bytes.as_mut_slice()].into_iter())?;
        Ok(bytes)
    }
}

impl Executor for GpuExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.steps.clear();
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
            self.record(&self.steps, encoder);
            self.collect(encoder);
        })?;
        self.receive(io)
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.resize(self.steps.len(), 0.0);
        self.send(io)?;
        self.program.gpu.finish()?;
        for (step, total) in self.steps.chunks(1).zip(seconds) {
            let start = Instant::now();
            self.submit(|encoder| self.record(step, encoder))?;
            self.program.gpu.finish()?;
            *total += start.elapsed().as_secs_f64();
        }
        self.submit(|encoder| self.collect(encoder))?;
        self.receive(io)
    }

    fn state(&mut self, index: usize) -> Option<&mut [u8]> {
        let state = self.states.get(index)?;
        if state.shown.is_none() {
            let bytes = self.show(&state.memory).ok()?;
            self.states.get_mut(index)?.shown = Some(bytes);
        }
        self.states.get_mut(index)?.shown.as_deref_mut()
    }

    fn parts(&mut self) -> Option<&mut dyn Parts> {
        Some(self)
    }
}

/// Brings tensors to their sizes.
fn resize(gpu: &Gpu, tensors: &mut Vec<Memory>, sizes: &[u64]) -> Result<(), DeviceError> {
    if tensors.iter().map(|tensor| tensor.bytes).ne(sizes.iter().copied()) {
        *tensors = sizes.iter().map(|bytes| Memory::storage(gpu, *bytes)).collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn entry(binding: u32, memory: &Memory, offset: u64, size: u64) -> BindGroupEntry<'_> {
    let resource = BindingResource::Buffer(BufferBinding { buffer: &memory.buffer, offset, size: NonZeroU64::new(size) });
    BindGroupEntry { binding, resource }
}

fn put(parameters: &mut Vec<u8>, value: i32) {
    parameters.extend(value.to_le_bytes());
}

/// The largest number that shaders are given: what they calculate from it, such as the end of the last tile, still has 32 bits.
const MOST: i128 = 1 << 30;

/// A number that shaders calculate with.
fn index(value: i128, what: &str) -> Result<i32, DeviceError> {
    i32::try_from(value).ok().filter(|_| value.abs() <= MOST).ok_or_else(|| too_many(value, what))
}

fn too_many(value: i128, what: &str) -> DeviceError {
    DeviceError::LimitExceeded {
        resource: "numbers that shaders calculate with",
        problem: format!("{value} {what}, at most {MOST}"),
    }
}

fn check_sizes(kind: &str, given: impl Iterator<Item = usize>, expected: &[u64]) -> Result<(), DeviceError> {
    let given: Vec<u64> = given.map(|bytes| bytes as u64).collect();
    if given == expected { Ok(()) } else { invalid(format!("{kind} tensors have {given:?} bytes, not {expected:?}")) }
}

fn invalid<T>(problem: String) -> Result<T, DeviceError> {
    Err(DeviceError::InvalidPlan { problem })
}
