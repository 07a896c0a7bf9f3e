//! The memory of a session, and where in it the arguments of a dispatch lie.

use crate::errors::invalid;
use crate::format::PIECE_BYTES;
use crate::gpu::Gpu;
use crate::memory::{Memory, Use, room};
use crate::parameters::index;
use crate::program::{GpuProgram, Kernel};
use crate::tensor::{GpuTensor, Identity};
use lostwax_target_api::{BufferRef, DeviceError, Dispatch, Prepared, Region};
use std::sync::Arc;

/// All that kernels of one session read and write.
pub(crate) struct Space {
    program: Arc<GpuProgram>,
    arena: Memory,
    pub(crate) states: Vec<State>,
    pub(crate) inputs: Vec<Slot>,
    pub(crate) outputs: Vec<Slot>,
}

/// Where an input or output lies.
pub(crate) struct Slot {
    /// Memory of the session.
    own: Memory,
    /// A tensor that stays on the device, which takes its place.
    bound: Option<(Memory, Identity)>,
}

impl Slot {
    /// The memory that kernels read or write.
    pub(crate) fn memory(&self) -> &Memory {
        self.bound.as_ref().map_or(&self.own, |(memory, _)| memory)
    }

    /// Whether it is memory of the session.
    pub(crate) fn is_own(&self) -> bool {
        self.bound.is_none()
    }

    /// Puts a tensor in its place, or nothing. Returns whether that changes anything.
    pub(crate) fn bind(&mut self, tensor: Option<&GpuTensor>) -> bool {
        let is_same = self.bound.as_ref().map(|(_, identity)| **identity) == tensor.map(|tensor| *tensor.identity);
        if !is_same {
            self.bound = tensor.map(|tensor| (tensor.memory.clone(), Identity::clone(&tensor.identity)));
        }
        !is_same
    }
}

/// The range of an allocation that an argument lies in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BindingRange {
    pub(crate) region: Region,
    /// The identity of a tensor that stays on the device; 0 for memory of the session.
    pub(crate) tensor: u64,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

/// The bytes of a region that a piece of an argument lies in.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) region: Region,
    start: u64,
    bytes: u64,
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

    /// Resizes all memory. Returns whether an allocation has moved; large enough ones stay.
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
            Region::Input(tensor) => self.inputs.get(tensor as usize).map(Slot::memory),
            Region::Output(tensor) => self.outputs.get(tensor as usize).map(Slot::memory),
        }
    }

    /// The tensor that a region is, where it stays on the device.
    pub(crate) fn identity(&self, region: Region) -> Option<&Identity> {
        let slot = match region {
            Region::Weights | Region::Arena | Region::State(_) => None,
            Region::Input(tensor) => self.inputs.get(tensor as usize),
            Region::Output(tensor) => self.outputs.get(tensor as usize),
        };
        slot.and_then(|slot| slot.bound.as_ref()).map(|(_, identity)| identity)
    }

    /// The pieces of an argument, and the element of the first at which the argument begins.
    pub(crate) fn pieces(&self, kernel: &Kernel, dispatch: &Dispatch, argument: usize) -> Result<(Vec<Piece>, i32), DeviceError> {
        let (buffer, declared) = match (dispatch.buffers.get(argument), kernel.arguments.get(argument)) {
            (Some(buffer), Some(declared)) => (buffer, declared),
            _ => return Err(invalid(format!("kernel `{}` has no argument {argument}", kernel.name))),
        };
        let BufferRef { region, offset, bytes } = *buffer;
        let len = self.memory(region).map_or(0, |memory| memory.bytes);
        if offset.checked_add(bytes).is_none_or(|end| end > len) {
            return Err(invalid(format!("{bytes} bytes at {offset} of {region:?}, which has {len} bytes")));
        }
        if declared.writable && matches!(region, Region::Weights | Region::Input(_)) {
            return Err(invalid(format!("kernel `{}` writes to {region:?}", kernel.name)));
        }
        let element = u64::from(declared.element);
        if !offset.is_multiple_of(declared.alignment.into()) {
            let problem = format!("byte {offset} of {region:?} is not a multiple of {}", declared.alignment);
            return Err(invalid(format!("{problem}, where kernel `{}` wants an argument to begin", kernel.name)));
        }
        let alignment = u64::from(self.program.gpu.limits.min_storage_buffer_offset_alignment).max(1);
        let (start, end) = (offset - offset % alignment, offset + bytes);
        index(i128::from((end - start) / element), "elements of a tensor")?;
        let piece = |number: u64| {
            let from = start.saturating_add(number.saturating_mul(PIECE_BYTES)).min(start.max(end - end % alignment));
            let is_last = number + 1 == u64::from(declared.pieces);
            let until = if is_last { end } else { from.saturating_add(PIECE_BYTES).min(end) };
            self.bindable(region, from, until)
        };
        let pieces = (0..declared.pieces.into()).map(piece).collect::<Result<_, _>>()?;
        Ok((pieces, index(i128::from((offset - start) / element), "elements")?))
    }

    /// A piece from `start` to `end`; where it is empty, one from the start of the region.
    fn bindable(&self, region: Region, start: u64, end: u64) -> Result<Piece, DeviceError> {
        let (start, bytes) = if start == end { (0, room(0)) } else { (start, room(end - start)) };
        let most = self.most();
        if bytes > most {
            let (bytes, gpu) = (end - start, self.program.gpu.description());
            let problem = format!("a tensor of {bytes} bytes in {region:?}; {gpu} takes at most {most}");
            return Err(DeviceError::LimitExceeded { resource: "memory that a kernel can address", problem });
        }
        Ok(Piece { region, start, bytes })
    }

    /// The range that a piece is bound to. Its size is a power of two where possible, so that buffers that grow keep their binding.
    pub(crate) fn range(&self, piece: &Piece) -> BindingRange {
        let Piece { region, start, bytes } = *piece;
        let there = self.memory(region).map_or(bytes, |memory| (memory.buffer.size() - start) & !15);
        let tensor = self.identity(region).map_or(0, |identity| **identity);
        BindingRange { region, tensor, start, size: bytes.next_power_of_two().min(there).min(self.most()) }
    }

    /// The maximum number of bytes of a range.
    fn most(&self) -> u64 {
        self.program.gpu.limits.max_storage_buffer_binding_size & !15
    }
}

/// Resizes tensors in memory of the session. Returns whether one has moved.
fn fit_all(gpu: &Gpu, use_: Use, tensors: &mut Vec<Slot>, sizes: &[u64]) -> Result<bool, DeviceError> {
    let mut moved = tensors.len() != sizes.len();
    tensors.truncate(sizes.len());
    for (position, bytes) in sizes.iter().enumerate() {
        match tensors.get_mut(position) {
            Some(slot) => {
                slot.bind(None);
                moved |= slot.own.resize(gpu, *bytes)?;
            }
            None => tensors.push(Slot { own: Memory::new(gpu, use_, *bytes)?, bound: None }),
        }
    }
    Ok(moved)
}
