//! Runs whose inputs and outputs may stay on the device: these are bound in place of memory of the session.

use super::{GpuExecutor, Movable, check_sizes};
use crate::errors::invalid;
use crate::tensor::GpuTensor;
use lostwax_target_api::{Destination, DeviceError, DeviceIo, DeviceMemory, OnDevice, Source};
use std::sync::Arc;

impl OnDevice for GpuExecutor {
    fn run_on_device(&mut self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError> {
        check_sizes("input", io.inputs.iter().map(source_bytes), &self.sizes.input_bytes)?;
        check_sizes("output", io.outputs.iter().map(destination_bytes), &self.sizes.output_bytes)?;
        self.bind_tensors(io)?;
        let gpu = &self.program.gpu;
        for (slot, source) in self.space.inputs.iter().zip(io.inputs) {
            if let Source::Host(bytes) = source {
                slot.memory().write(gpu, bytes)?;
            }
        }
        self.send_states()?;
        // A buffer of the caller may be in use by the host or gone.
        self.program.gpu.submit(invalid, |encoder| {
            self.record_all(&self.steps, encoder);
            self.collect(encoder);
        })?;
        self.receive_some(io)
    }
}

impl GpuExecutor {
    /// Binds inputs and outputs to memory of the session.
    pub(super) fn bind_own(&mut self) -> Result<(), DeviceError> {
        let slots = self.space.inputs.iter_mut().chain(&mut self.space.outputs);
        self.is_bound &= !slots.fold(false, |moved, slot| slot.bind(None) | moved);
        self.bind_moved()
    }

    /// Binds inputs and outputs to where they lie in a run.
    fn bind_tensors(&mut self, io: &DeviceIo<'_>) -> Result<(), DeviceError> {
        let gpu = &self.program.gpu;
        for (position, (slot, source)) in self.space.inputs.iter_mut().zip(io.inputs).enumerate() {
            let memory = if let Source::Device(memory) = source { Some(*memory) } else { None };
            self.is_bound &= !slot.bind(tensor(gpu, memory, "input", position)?);
        }
        for (position, (slot, destination)) in self.space.outputs.iter_mut().zip(&*io.outputs).enumerate() {
            let memory = if let Destination::Device(memory) = destination { Some(&**memory) } else { None };
            self.is_bound &= !slot.bind(tensor(gpu, memory, "output", position)?);
        }
        self.bind_moved()
    }

    /// Binds the steps anew whose inputs or outputs lie elsewhere, and forgets dropped tensors.
    fn bind_moved(&mut self) -> Result<(), DeviceError> {
        let bound = if self.is_bound { Ok(()) } else { self.bind_all() };
        self.bindings.forget_dropped();
        bound
    }

    fn bind_all(&mut self) -> Result<(), DeviceError> {
        let movable = std::mem::take(&mut self.movable);
        let bound = movable.iter().try_for_each(|movable| self.bind_again(movable));
        self.movable = movable;
        self.is_bound = bound.is_ok();
        bound
    }

    fn bind_again(&mut self, movable: &Movable) -> Result<(), DeviceError> {
        let kernel = self.steps.get(movable.step).map_or(usize::MAX, |step| step.kernel);
        let binding = self.bind(kernel, &movable.pieces)?;
        self.steps.get_mut(movable.step).into_iter().for_each(|step| step.binding = Some(binding.clone()));
        Ok(())
    }

    /// Waits for the outputs that go to the host, if there are any.
    fn receive_some(&self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError> {
        let host = |destination| if let &mut Destination::Host(ref mut bytes) = destination { Some(&mut **bytes) } else { None };
        let mut outputs = io.outputs.iter_mut().filter_map(host).peekable();
        if outputs.peek().is_some() { self.results.read(&self.program.gpu, outputs) } else { Ok(()) }
    }
}

/// The tensor of this GPU that memory is, if there is any.
fn tensor<'a>(
    gpu: &Arc<crate::gpu::Gpu>,
    memory: Option<&'a dyn DeviceMemory>,
    kind: &str,
    position: usize,
) -> Result<Option<&'a GpuTensor>, DeviceError> {
    let own = |memory| GpuTensor::from_memory(gpu, memory).ok_or_else(|| DeviceError::wrong_device(kind, position));
    memory.map(own).transpose()
}

fn source_bytes(source: &Source<'_>) -> u64 {
    match source {
        Source::Host(bytes) => bytes.len() as u64,
        Source::Device(memory) => memory.bytes(),
    }
}

fn destination_bytes(destination: &Destination<'_>) -> u64 {
    match destination {
        Destination::Host(bytes) => bytes.len() as u64,
        Destination::Device(memory) => memory.bytes(),
    }
}
