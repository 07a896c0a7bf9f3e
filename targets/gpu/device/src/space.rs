//! The memory of a session, and where in it the arguments of a dispatch lie.

use crate::bindings::Part;
use crate::executor::{index, invalid};
use crate::gpu::Gpu;
use crate::memory::{Memory, Use};
use crate::program::{GpuProgram, Kernel};
use lostwax_target_api::{BufferRef, DeviceError, Dispatch, Prepared, Region};
use std::sync::Arc;

/// All that kernels of one session read and write.
pub(crate) struct Space {
    program: Arc<GpuProgram>,
    arena: Memory,
    pub(crate) states: Vec<State>,
    pub(crate) inputs: Vec<Memory>,
    pub(crate) outputs: Vec<Memory>,
}

/// A tensor that lives as long as the executor.
pub(crate) struct State {
    pub(crate) memory: Memory,
    /// What the host was given to look at or change since the last run.
    pub(crate) shown: Option<Vec<u8>>,
}

impl Space {
    pub(crate) fn new(program: Arc<GpuProgram>) -> Result<Self, DeviceError> {
        let arena = Memory::new(&program.gpu, Use::storage("intermediate results"), 0)?;
        Ok(Self { program, arena, states: Vec::new(), inputs: Vec::new(), outputs: Vec::new() })
    }

    /// Brings all memory to the sizes given, and tells whether an allocation has moved. What has room stays where it is.
    pub(crate) fn fit(&mut self, prepared: &Prepared) -> Result<bool, DeviceError> {
        let gpu = Arc::clone(&self.program.gpu);
        let arena = self.arena.resize(&gpu, prepared.arena_bytes)?;
        let inputs = fit_all(&gpu, Use::storage("inputs"), &mut self.inputs, &prepared.input_bytes)?;
        let outputs = fit_all(&gpu, Use::storage("outputs"), &mut self.outputs, &prepared.output_bytes)?;
        Ok(arena | inputs | outputs | self.fit_states(&gpu, &prepared.state_bytes)?)
    }

    /// States of another size begin anew.
    fn fit_states(&mut self, gpu: &Gpu, sizes: &[u64]) -> Result<bool, DeviceError> {
        let mut moved = self.states.len() > sizes.len();
        self.states.truncate(sizes.len());
        for (position, bytes) in sizes.iter().enumerate() {
            let fresh = || Ok(State { memory: Memory::new(gpu, Use::storage("states"), *bytes)?, shown: None });
            match self.states.get_mut(position) {
                Some(state) if state.memory.bytes == *bytes => continue,
                Some(state) => *state = fresh()?,
                None => self.states.push(fresh()?),
            }
            moved = true;
        }
        Ok(moved)
    }

    pub(crate) fn memory(&self, region: Region) -> Option<&Memory> {
        match region {
            Region::Weights => Some(&self.program.weights),
            Region::Arena => Some(&self.arena),
            Region::State(tensor) => self.states.get(tensor as usize).map(|state| &state.memory),
            Region::Input(tensor) => self.inputs.get(tensor as usize),
            Region::Output(tensor) => self.outputs.get(tensor as usize),
        }
    }

    /// The part that an argument is bound to, and the element of it at which the argument begins.
    pub(crate) fn part(&self, kernel: &Kernel, dispatch: &Dispatch, argument: usize) -> Result<(Part, i32), DeviceError> {
        let (buffer, declared) = match (dispatch.buffers.get(argument), kernel.arguments.get(argument)) {
            (Some(buffer), Some(declared)) => (buffer, declared),
            _ => return invalid(format!("kernel `{}` has no argument {argument}", kernel.name)),
        };
        let BufferRef { region, offset, bytes } = *buffer;
        let len = self.memory(region).map_or(0, |memory| memory.bytes);
        if offset.checked_add(bytes).is_none_or(|end| end > len) {
            return invalid(format!("{bytes} bytes at {offset} of {region:?}, which has {len} bytes"));
        }
        if declared.writable && matches!(region, Region::Weights | Region::Input(_)) {
            return invalid(format!("kernel `{}` writes to {region:?}", kernel.name));
        }
        let element = u64::from(declared.element);
        if !offset.is_multiple_of(element) {
            return invalid(format!("byte {offset} of {region:?} is not where an element of {element} bytes can begin"));
        }
        let part = self.aligned(buffer)?;
        index(i128::from(part.size / element), "elements of a tensor")?;
        Ok((part, index(i128::from((offset - part.start) / element), "elements")?))
    }

    /// A part that may be bound and has the buffer in it. Its size is one of few, so that buffers that grow keep their binding.
    fn aligned(&self, buffer: &BufferRef) -> Result<Part, DeviceError> {
        let (region, limits) = (buffer.region, &self.program.gpu.limits);
        let start = buffer.offset - buffer.offset % u64::from(limits.min_storage_buffer_offset_alignment).max(1);
        let needed = (buffer.offset + buffer.bytes - start).next_multiple_of(16).max(16);
        let most = limits.max_storage_buffer_binding_size & !15;
        if needed > most {
            let (bytes, processor) = (buffer.bytes, self.program.gpu.description());
            let problem = format!("a tensor of {bytes} bytes in {region:?}; {processor} takes at most {most}");
            return Err(DeviceError::LimitExceeded { resource: "memory that a kernel can address", problem });
        }
        let there = self.memory(region).map_or(needed, |memory| memory.buffer.size() - start);
        Ok(Part { region, start, size: needed.next_power_of_two().min(there).min(most) })
    }
}

/// Brings tensors to their sizes, and tells whether one has moved.
fn fit_all(gpu: &Gpu, use_: Use, tensors: &mut Vec<Memory>, sizes: &[u64]) -> Result<bool, DeviceError> {
    let mut moved = tensors.len() != sizes.len();
    tensors.truncate(sizes.len());
    for (position, bytes) in sizes.iter().enumerate() {
        match tensors.get_mut(position) {
            Some(tensor) => moved |= tensor.resize(gpu, *bytes)?,
            None => tensors.push(Memory::new(gpu, use_, *bytes)?),
        }
    }
    Ok(moved)
}
