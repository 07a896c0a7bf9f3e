//! What devices that work in host memory have in common: checks of dispatches, the regions that buffers lie in, and an executor
//! that runs one dispatch after another.

mod executor;

pub use executor::{HostExecutor, HostProgram};

use crate::device::{BufferRef, Dispatch, Prepared, Region, WeightBytes};
use crate::error::DeviceError;
use crate::memory::{Io, copy};
use std::ops::Range;

/// What a kernel takes, as far as dispatches must fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name for messages.
    pub name: String,
    /// For each buffer, in order, whether the kernel writes to it.
    pub writable: Vec<bool>,
    /// The number of symbols.
    pub symbols: usize,
}

#[cfg(feature = "compile")]
impl From<&lostwax_ir::kernel::Kernel> for Signature {
    fn from(kernel: &lostwax_ir::kernel::Kernel) -> Self {
        let writable = kernel.buffers.iter().map(|buffer| buffer.writable).collect();
        Self { name: kernel.name.clone(), writable, symbols: kernel.symbols.len() }
    }
}

impl Prepared {
    /// Checks that each dispatch names one of `kernels`, has as many buffers and symbols as it takes, that all buffers lie in their
    /// regions, and that none in weights or inputs is written. What kernels do with their buffers is up to the target.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] for the first that does not fit.
    pub fn check(&self, weight_bytes: u64, kernels: &[Signature]) -> Result<(), DeviceError> {
        self.dispatches.iter().try_for_each(|dispatch| self.check_dispatch(weight_bytes, kernels, dispatch))
    }

    fn check_dispatch(&self, weight_bytes: u64, kernels: &[Signature], dispatch: &Dispatch) -> Result<(), DeviceError> {
        let Some(Signature { name, writable, symbols }) = kernels.get(dispatch.kernel as usize) else {
            return Err(DeviceError::no_kernel(dispatch.kernel));
        };
        let given = (dispatch.buffers.len(), dispatch.symbols.len());
        if given != (writable.len(), *symbols) {
            return invalid(format!("kernel `{name}` gets {} buffers and {} symbols", given.0, given.1));
        }
        if i64::try_from(dispatch.grid).is_err() {
            return invalid(format!("kernel `{name}` gets {} work items", dispatch.grid));
        }
        for (BufferRef { region, offset, bytes }, writable) in dispatch.buffers.iter().zip(writable) {
            let missing = || DeviceError::InvalidPlan { problem: format!("there is no {region:?}") };
            let len = self.region_bytes(weight_bytes, *region).ok_or_else(missing)?;
            if offset.checked_add(*bytes).is_none_or(|end| end > len) {
                return invalid(format!("{bytes} bytes at {offset} of {region:?}, which has {len} bytes"));
            }
            if *writable && matches!(region, Region::Weights | Region::Input(_)) {
                return invalid(format!("kernel `{name}` writes to {region:?}"));
            }
        }
        Ok(())
    }

    /// The bytes of a region, if there is one.
    fn region_bytes(&self, weight_bytes: u64, region: Region) -> Option<u64> {
        let size = |sizes: &[u64], tensor: u32| sizes.get(tensor as usize).copied();
        match region {
            Region::Weights => Some(weight_bytes),
            Region::Arena => Some(self.arena_bytes),
            Region::State(tensor) => size(&self.state_bytes, tensor),
            Region::Input(tensor) => size(&self.input_bytes, tensor),
            Region::Output(tensor) => size(&self.output_bytes, tensor),
        }
    }
}

impl Io<'_> {
    /// Checks that the tensors of a run have the sizes for which it was prepared.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if they have others.
    pub fn check(&self, prepared: &Prepared) -> Result<(), DeviceError> {
        check_sizes("input", self.inputs.iter().map(|tensor| tensor.len()), &prepared.input_bytes)?;
        check_sizes("output", self.outputs.iter().map(|tensor| tensor.len()), &prepared.output_bytes)
    }
}

fn check_sizes(kind: &str, given: impl ExactSizeIterator<Item = usize> + Clone, expected: &[u64]) -> Result<(), DeviceError> {
    if given.clone().map(|bytes| bytes as u64).eq(expected.iter().copied()) {
        return Ok(());
    }
    let given: Vec<usize> = given.collect();
    invalid(format!("{kind} tensors have {given:?} bytes, not {expected:?}"))
}

/// The regions of an executor that works in host memory of type `M`.
pub struct HostRegions<M> {
    weights: WeightBytes,
    arena: M,
    states: Vec<M>,
    allocate: fn(u64) -> Result<M, DeviceError>,
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> HostRegions<M> {
    /// Regions without working memory and states; `allocate` makes zeroed memory of that many bytes.
    ///
    /// # Errors
    /// Those of `allocate`.
    pub fn new(weights: WeightBytes, allocate: fn(u64) -> Result<M, DeviceError>) -> Result<Self, DeviceError> {
        Ok(Self { weights, arena: allocate(0)?, states: Vec::new(), allocate })
    }

    /// Makes room for working memory and states. States whose size stays keep their contents, others are zeros.
    ///
    /// # Errors
    /// Those of `allocate`.
    pub fn resize(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        if (self.arena.as_ref().len() as u64) < prepared.arena_bytes {
            self.arena = (self.allocate)(prepared.arena_bytes)?;
        }
        self.states.truncate(prepared.state_bytes.len());
        for (position, bytes) in prepared.state_bytes.iter().enumerate() {
            match self.states.get_mut(position) {
                Some(state) if state.as_ref().len() as u64 == *bytes => {}
                Some(state) => *state = (self.allocate)(*bytes)?,
                None => self.states.push((self.allocate)(*bytes)?),
            }
        }
        Ok(())
    }

    /// The bytes that a buffer refers to.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if there are no such bytes.
    pub fn bytes<'a>(&'a self, buffer: &BufferRef, io: &'a Io<'_>) -> Result<&'a [u8], DeviceError> {
        let region: Option<&[u8]> = match buffer.region {
            Region::Weights => Some((*self.weights).as_ref()),
            Region::Arena => Some(self.arena.as_ref()),
            Region::State(tensor) => self.states.get(tensor as usize).map(AsRef::as_ref),
            Region::Input(tensor) => io.inputs.get(tensor as usize).copied(),
            Region::Output(tensor) => io.outputs.get(tensor as usize).map(|output| &**output),
        };
        region.and_then(|bytes| bytes.get(range(buffer)?)).ok_or_else(|| outside(buffer))
    }

    /// The bytes that a buffer refers to, for writing.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if there are no such bytes, or if they are weights or an input.
    pub fn bytes_mut<'a>(&'a mut self, buffer: &BufferRef, io: &'a mut Io<'_>) -> Result<&'a mut [u8], DeviceError> {
        let region: Option<&mut [u8]> = match buffer.region {
            Region::Weights | Region::Input(_) => None,
            Region::Arena => Some(self.arena.as_mut()),
            Region::State(tensor) => self.states.get_mut(tensor as usize).map(AsMut::as_mut),
            Region::Output(tensor) => io.outputs.get_mut(tensor as usize).map(|output| &mut **output),
        };
        region.and_then(|bytes| bytes.get_mut(range(buffer)?)).ok_or_else(|| outside(buffer))
    }

    /// The bytes of a state.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if there is no such state.
    pub fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        self.states.get_mut(index).map(AsMut::as_mut).ok_or_else(|| DeviceError::no_state(index))
    }

    /// [`crate::PartialExecutor::read`].
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if there are no such bytes, or `to` has another size.
    pub fn read(&self, from: &BufferRef, io: &Io<'_>, to: &mut [u8]) -> Result<(), DeviceError> {
        copy(self.bytes(from, io)?, to)
    }

    /// [`crate::PartialExecutor::write`].
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if there are no such bytes that can be written, or `from` has another size.
    pub fn write(&mut self, to: &BufferRef, io: &mut Io<'_>, from: &[u8]) -> Result<(), DeviceError> {
        copy(from, self.bytes_mut(to, io)?)
    }
}

fn range(buffer: &BufferRef) -> Option<Range<usize>> {
    let end = buffer.offset.checked_add(buffer.bytes)?;
    Some(usize::try_from(buffer.offset).ok()?..usize::try_from(end).ok()?)
}

fn outside(buffer: &BufferRef) -> DeviceError {
    DeviceError::InvalidPlan { problem: format!("{buffer:?} does not exist or cannot be written") }
}

fn invalid<T>(problem: String) -> Result<T, DeviceError> {
    Err(DeviceError::InvalidPlan { problem })
}
