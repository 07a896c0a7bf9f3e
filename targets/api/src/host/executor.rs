//! The executor of devices that run one dispatch after another in the memory of the host.

use super::{HostRegions, Signature};
use crate::device::{BufferRef, Dispatch, Executor, PartialExecutor, Prepared, WeightBytes};
use crate::error::DeviceError;
use crate::memory::{DeviceIo, Io, OnDevice};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Loaded code whose kernels work in the memory of the host; a [`HostExecutor`] does all but run a kernel.
pub trait HostProgram: Send + Sync + 'static {
    /// Memory for intermediate results, states and tensors that stay on the device.
    type Memory: AsRef<[u8]> + AsMut<[u8]> + Send + Sync + 'static;

    /// Zeroed memory of that many bytes.
    ///
    /// # Errors
    /// [`DeviceError::LimitExceeded`] if there is not enough.
    fn allocate(bytes: u64) -> Result<Self::Memory, DeviceError>;

    /// What each kernel takes, in the order of the code.
    fn signatures(&self) -> &[Signature];

    /// The weights that kernels read.
    fn weights(&self) -> &WeightBytes;

    /// Runs all work items of a dispatch, which [`Prepared::check`] has accepted.
    ///
    /// # Errors
    /// Those of [`HostRegions::bytes`], and of the kernel if it can fail.
    fn run(&self, dispatch: &Dispatch, regions: &mut HostRegions<Self::Memory>, io: &mut Io<'_>) -> Result<(), DeviceError>;
}

/// One session of a [`HostProgram`]: working memory, and the dispatches that it was prepared for.
pub struct HostExecutor<P: HostProgram> {
    program: Arc<P>,
    regions: HostRegions<P::Memory>,
    prepared: Prepared,
}

impl<P: HostProgram> HostExecutor<P> {
    /// An executor that is prepared for nothing.
    ///
    /// # Errors
    /// Those of [`HostProgram::allocate`].
    pub fn new(program: Arc<P>) -> Result<Self, DeviceError> {
        let regions = HostRegions::new(Arc::clone(program.weights()), P::allocate)?;
        Ok(Self { program, regions, prepared: Prepared::default() })
    }

    /// Runs the dispatches at these positions and reports the seconds that each took.
    fn run_some(&mut self, part: Range<usize>, io: &mut Io<'_>, mut finished: impl FnMut(usize, f64)) -> Result<(), DeviceError> {
        let Self { program, regions, prepared } = self;
        io.check(prepared)?;
        part.into_iter().try_for_each(|position| {
            let dispatch = prepared.dispatches.get(position).ok_or_else(|| DeviceError::no_dispatch(position))?;
            let start = Instant::now();
            program.run(dispatch, regions, io)?;
            finished(position, start.elapsed().as_secs_f64());
            Ok(())
        })
    }
}

impl<P: HostProgram> Executor for HostExecutor<P> {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.prepared = Prepared::default();
        prepared.check((**self.program.weights()).as_ref().len() as u64, self.program.signatures())?;
        self.regions.resize(prepared)?;
        self.prepared = prepared.clone();
        Ok(())
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.run_some(0..self.prepared.dispatches.len(), io, |_, _| {})
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.resize(self.prepared.dispatches.len(), 0.0);
        self.run_range(0..seconds.len(), io, Some(seconds))
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        self.regions.state(index)
    }

    fn partial(&mut self) -> Option<&mut dyn PartialExecutor> {
        Some(self)
    }

    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        Some(self)
    }
}

impl<P: HostProgram> OnDevice for HostExecutor<P> {
    fn run_on_device(&mut self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError> {
        io.as_host::<P::Memory>(|io| self.run(io))
    }
}

impl<P: HostProgram> PartialExecutor for HostExecutor<P> {
    fn run_range(&mut self, part: Range<usize>, io: &mut Io<'_>, mut seconds: Option<&mut [f64]>) -> Result<(), DeviceError> {
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
