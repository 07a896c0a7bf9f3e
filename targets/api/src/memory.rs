//! Tensors that stay in the memory of a device from run to run.

use crate::error::DeviceError;
use std::any::Any;

/// Memory of a device for one tensor, which [`crate::Device::allocate`] makes.
pub trait DeviceMemory: Any + Send + Sync {
    /// The bytes of the tensor.
    fn bytes(&self) -> u64;

    /// Copies all to `to`, which has its size, once the runs that write there are done.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when the sizes differ, and errors of the device, also those of earlier runs.
    fn read(&self, to: &mut [u8]) -> Result<(), DeviceError>;

    /// Copies `from`, which has its size, to all of it. Earlier runs still see the old contents.
    ///
    /// # Errors
    /// As [`DeviceMemory::read`].
    fn write(&mut self, from: &[u8]) -> Result<(), DeviceError>;

    /// Whether writes to one change the other.
    fn is_shared_with(&self, _other: &dyn DeviceMemory) -> bool {
        false
    }
}

/// Where an input of a run lies.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// In host memory, aligned to the element type.
    Host(&'a [u8]),
    /// In memory of the device that runs.
    Device(&'a dyn DeviceMemory),
}

/// Where an output of a run goes.
pub enum Destination<'a> {
    /// To host memory, aligned to the element type.
    Host(&'a mut [u8]),
    /// To memory of the device that runs, which shares nothing with other tensors of the run.
    Device(&'a mut dyn DeviceMemory),
}

/// The tensors of one run: host memory, aligned to the element type.
pub struct Io<'a> {
    /// The inputs, in the order of the entry point.
    pub inputs: &'a [&'a [u8]],
    /// The outputs, in the order of the entry point.
    pub outputs: &'a mut [&'a mut [u8]],
}

/// The tensors of one run, some of which lie on the device.
pub struct DeviceIo<'a> {
    /// The inputs, in the order of the entry point.
    pub inputs: &'a [Source<'a>],
    /// The outputs, in the order of the entry point.
    pub outputs: &'a mut [Destination<'a>],
}

/// An executor whose inputs and outputs may stay on the device.
pub trait OnDevice {
    /// As [`crate::Executor::run`]. If no output goes to the host, this need not wait until the device is done; the next
    /// call that waits reports its failures.
    ///
    /// # Errors
    /// As [`crate::Executor::run`], and [`DeviceError::InvalidPlan`] when memory belongs to another device.
    fn run_on_device(&mut self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError>;
}

/// Memory of a device that works in the memory of the host.
pub struct HostMemory<B>(pub B);

impl<B: AsRef<[u8]> + AsMut<[u8]> + Send + Sync + 'static> DeviceMemory for HostMemory<B> {
    fn bytes(&self) -> u64 {
        self.0.as_ref().len() as u64
    }

    fn read(&self, to: &mut [u8]) -> Result<(), DeviceError> {
        copy(self.0.as_ref(), to)
    }

    fn write(&mut self, from: &[u8]) -> Result<(), DeviceError> {
        copy(from, self.0.as_mut())
    }
}

impl DeviceIo<'_> {
    /// Runs with all tensors as host memory, on devices whose memory is `HostMemory<B>`.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when memory belongs to another device, and those of `run`.
    pub fn as_host<B: AsRef<[u8]> + AsMut<[u8]> + Send + Sync + 'static>(
        &mut self,
        run: impl FnOnce(&mut Io<'_>) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let inputs = self.inputs.iter().enumerate().map(|(position, source)| match source {
            Source::Host(bytes) => Ok(*bytes),
            Source::Device(memory) => memory_of(*memory, position).map(|memory: &HostMemory<B>| memory.0.as_ref()),
        });
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let outputs = self.outputs.iter_mut().enumerate().map(|(position, destination)| match destination {
            Destination::Host(bytes) => Ok(&mut **bytes),
            Destination::Device(memory) => {
                let memory: &mut dyn Any = &mut **memory;
                let memory = memory.downcast_mut::<HostMemory<B>>();
                memory.map(|memory| memory.0.as_mut()).ok_or_else(|| DeviceError::wrong_device("output", position))
            }
        });
        let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        run(&mut Io { inputs: &inputs, outputs: &mut outputs })
    }
}

/// The memory of an input as that of one family of devices.
fn memory_of<M: DeviceMemory>(memory: &dyn DeviceMemory, position: usize) -> Result<&M, DeviceError> {
    let memory: &dyn Any = memory;
    memory.downcast_ref().ok_or_else(|| DeviceError::wrong_device("input", position))
}

/// Copies between memory of the same size.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) -> Result<(), DeviceError> {
    if from.len() != to.len() {
        return Err(DeviceError::size_mismatch(from.len(), to.len()));
    }
    to.copy_from_slice(from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<'a>(inputs: &'a [Source<'a>], outputs: &'a mut [Destination<'a>]) -> Result<(), DeviceError> {
        DeviceIo { inputs, outputs }.as_host::<Vec<u8>>(|io| {
            io.outputs[0].copy_from_slice(io.inputs[0]);
            Ok(())
        })
    }

    #[test]
    fn host_memory_is_that_of_its_family_only() {
        let (mut own, mut foreign) = (HostMemory(vec![1u8, 2]), HostMemory([0u8; 2]));
        run(&[Source::Host(&[7, 8])], &mut [Destination::Device(&mut own)]).unwrap();
        let mut read = [0; 2];
        run(&[Source::Device(&own)], &mut [Destination::Host(&mut read)]).unwrap();
        assert_eq!(read, [7, 8]);
        let refused = run(&[Source::Device(&own)], &mut [Destination::Device(&mut foreign)]).unwrap_err().to_string();
        assert!(refused.contains("output 0 lies in memory of another device"), "{refused}");
        assert!(run(&[Source::Device(&foreign)], &mut [Destination::Device(&mut own)]).is_err());
        assert!(own.read(&mut [0; 3]).is_err() && own.write(&[0; 1]).is_err());
    }
}
