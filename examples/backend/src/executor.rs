//! One session: working memory, and the dispatches that it was prepared for.

use crate::device::CProgram;
use crate::memory::Memory;
use lostwax_target_api::{BufferRef, DeviceError, DeviceIo, Dispatch, Executor, HostRegions, Io, OnDevice, Parts, Prepared};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Runs dispatches of one program.
pub(crate) struct CExecutor {
    program: Arc<CProgram>,
    regions: HostRegions<Memory>,
    prepared: Prepared,
    pointers: Pointers,
}

/// The buffers of one dispatch; kept so that runs allocate nothing.
struct Pointers(Vec<*mut u8>);

// SAFETY: the pointers are written anew before each dispatch, and not used after it.
unsafe impl Send for Pointers {}

impl CExecutor {
    pub(crate) fn new(program: Arc<CProgram>) -> Result<Self, DeviceError> {
        let regions = HostRegions::new(Arc::clone(&program.weights), Memory::new)?;
        Ok(Self { program, regions, prepared: Prepared::default(), pointers: Pointers(Vec::new()) })
    }

    // region: step
    fn step(&mut self, dispatch: &Dispatch, io: &mut Io<'_>) -> Result<(), DeviceError> {
        let position = dispatch.kernel as usize;
        let (kernels, signatures) = (&self.program.kernels, &self.program.signatures);
        let (Some(kernel), Some(signature)) = (kernels.get(position), signatures.get(position)) else { return Ok(()) };
        self.pointers.0.clear();
        for (buffer, writable) in dispatch.buffers.iter().zip(&signature.writable) {
            self.pointers.0.push(match writable {
                true => self.regions.bytes_mut(buffer, io)?.as_mut_ptr(),
                false => self.regions.bytes(buffer, io)?.as_ptr().cast_mut(),
            });
        }
        // SAFETY: `prepare` checked that buffers and symbols are as many as the kernel takes and that buffers lie in their regions,
        // of which we hold exclusive references where they are written. That a kernel stays within them is what the target promises.
        unsafe { kernel(self.pointers.0.as_ptr(), dispatch.symbols.as_ptr(), 0, dispatch.grid as i64) };
        Ok(())
    }
    // endregion: step

    /// Runs the dispatches at these positions and says how long each took.
    fn run_some(&mut self, part: Range<usize>, io: &mut Io<'_>, mut finished: impl FnMut(usize, f64)) -> Result<(), DeviceError> {
        io.check(&self.prepared)?;
        let dispatches = std::mem::take(&mut self.prepared.dispatches);
        let ran = part.into_iter().try_for_each(|position| {
            let dispatch = dispatches.get(position).ok_or_else(|| DeviceError::no_dispatch(position))?;
            let start = Instant::now();
            self.step(dispatch, io)?;
            finished(position, start.elapsed().as_secs_f64());
            Ok(())
        });
        self.prepared.dispatches = dispatches;
        ran
    }
}

// region: executor
impl Executor for CExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.prepared = Prepared::default();
        prepared.check((*self.program.weights).as_ref().len() as u64, &self.program.signatures)?;
        self.regions.resize(prepared)?;
        self.prepared = prepared.clone();
        Ok(())
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        self.run_some(0..self.prepared.dispatches.len(), io, |_, _| {})
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.resize(self.prepared.dispatches.len(), 0.0);
        self.run_part(0..seconds.len(), io, Some(seconds))
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        self.regions.state(index)
    }

    fn parts(&mut self) -> Option<&mut dyn Parts> {
        Some(self)
    }

    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        Some(self)
    }
}
// endregion: executor

// region: parts
impl OnDevice for CExecutor {
    fn run_on_device(&mut self, io: &mut DeviceIo<'_>) -> Result<(), DeviceError> {
        io.as_host::<Memory>(|io| self.run(io))
    }
}

impl Parts for CExecutor {
    fn run_part(&mut self, part: Range<usize>, io: &mut Io<'_>, mut seconds: Option<&mut [f64]>) -> Result<(), DeviceError> {
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
// endregion: parts
