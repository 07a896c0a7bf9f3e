//! The run-time half: devices, programs and executors.

use crate::error::DeviceError;
use crate::memory::{DeviceMemory, Io, OnDevice};
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Weights as the artifact holds them; shared by all executors of a program.
pub type WeightBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// What one variant of the code requires of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariantInfo {
    /// The device family, such as `cpu`.
    pub device: String,
    /// The architecture, such as `x86_64`.
    pub arch: String,
    /// The operating system, as Rust names it, such as `linux`; empty if the code does not depend on it. Code for the CPU from
    /// artifacts that name none is for Linux.
    pub os: String,
    /// The calling convention of the kernels, such as `sysv64`; empty if none are called. Code for the CPU from artifacts that name
    /// none has that of C on its architecture.
    pub abi: String,
    /// The name of the variant, such as `x86-64-v3`.
    pub name: String,
    /// Features that must all be present, as the device family names them.
    pub features: Vec<String>,
}

impl fmt::Display for VariantInfo {
    /// `DEVICE ARCH-OS NAME`, such as `cpu aarch64-linux armv8-a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, arch, os, name, .. } = self;
        let dash = if os.is_empty() { "" } else { "-" };
        write!(f, "{device} {arch}{dash}{os} {name}")
    }
}

/// One piece of hardware, or a software implementation, that a device family can run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// The specification for [`Device::open_adapter`]; empty if the family has a single adapter.
    pub specification: String,
    /// Its name, as the system reports it.
    pub name: String,
    /// Further facts, in display order.
    pub properties: Vec<Property>,
}

/// One fact about an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The name, such as `driver`.
    pub name: &'static str,
    /// The value.
    pub value: PropertyValue,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    /// A text.
    Text(String),
    /// A number.
    Count(u64),
    /// A number of bytes.
    Bytes(u64),
    /// Names, such as those of features that are present.
    Names(Vec<&'static str>),
}

/// Peak throughput of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Arithmetic operations per second: f32 multiply-adds, counted as two operations each.
    pub flops_per_second: f64,
    /// Bytes read and written per second.
    pub bytes_per_second: f64,
}

impl Peaks {
    /// A lower bound on the time for this work, in seconds.
    pub fn least_seconds(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / self.flops_per_second).max(bytes as f64 / self.bytes_per_second)
    }
}

/// Something that runs compiled kernels.
pub trait Device: Any + Send + Sync {
    /// The name for reports, such as `cpu`.
    fn name(&self) -> &str;

    /// Why this device cannot run a variant, such as `it is for aarch64, this machine is x86_64`; `None` if it can. A device runs
    /// only code for its own family, architecture, operating system and calling convention, and only if it has all required
    /// features.
    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String>;

    /// The position of the fastest variant that this device can run, or `None`. Targets list the best variants first.
    fn select(&self, variants: &[VariantInfo]) -> Option<usize> {
        variants.iter().position(|variant| self.unsupported_reason(variant).is_none())
    }

    /// Loads the code of a variant that [`Device::select`] chose.
    ///
    /// # Errors
    /// [`DeviceError::InvalidCode`] if the bytes are not valid code of the matching target.
    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError>;

    /// What the code bytes contain, for reports; empty if there is nothing beyond their size. Does not access the hardware.
    ///
    /// # Errors
    /// [`DeviceError::InvalidCode`] if the bytes are not valid code of the matching target.
    fn contents(&self, _code: &[u8]) -> Result<Vec<Content>, DeviceError> {
        Ok(Vec::new())
    }

    /// The adapters of this machine, the preferred one first; empty if there is nothing to report.
    fn adapters(&self) -> Vec<Adapter> {
        Vec::new()
    }

    /// The device on the adapter that a specification names: what follows `NAME:` on the command line. Calls with the same
    /// specification may return different devices.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] if there is no such adapter, [`DeviceError::Unsupported`] if the family knows no specifications.
    fn open_adapter(&self, specification: &str) -> Result<Arc<dyn Device>, DeviceError> {
        let what = format!("the specification `{specification}`; it takes none");
        Err(DeviceError::Unsupported { device: self.name().into(), what })
    }

    /// Zeroed memory for one tensor. All code loaded by this device can read and write it.
    ///
    /// # Errors
    /// [`DeviceError::LimitExceeded`] if there is not enough memory, [`DeviceError::Unsupported`] if tensors cannot stay on the
    /// device.
    fn allocate(&self, _bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
        Err(DeviceError::Unsupported { device: self.name().into(), what: "tensors that stay on it".into() })
    }

    /// Peak throughput with a number of threads, as [`Program::executor`] takes it. This call measures and may take a second;
    /// `None` if the device cannot measure itself.
    ///
    /// # Errors
    /// Errors of the device.
    fn peaks(&self, _threads: usize) -> Result<Option<Peaks>, DeviceError> {
        Ok(None)
    }
}

/// One kind of content of code bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its name, such as that of a shading language.
    pub name: String,
    /// The number of bytes.
    pub bytes: u64,
}

/// Loaded code.
pub trait Program: Send + Sync {
    /// The number of kernels.
    fn kernel_count(&self) -> usize;

    /// A new executor with its own working memory. `threads` = 0 lets the device decide.
    ///
    /// # Errors
    /// [`DeviceError::LimitExceeded`] if there are not enough threads or memory, and errors of the device.
    fn executor(self: Arc<Self>, threads: usize) -> Result<Box<dyn Executor>, DeviceError>;
}

/// Which memory a buffer lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// The weights of the artifact; read only.
    Weights,
    /// The executor's working memory.
    Arena,
    /// An input tensor of the run, by position; read only.
    Input(u32),
    /// An output tensor of the run, by position.
    Output(u32),
    /// A state tensor, which lives as long as the executor, by position.
    State(u32),
}

/// One buffer argument of a dispatch, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferRef {
    /// The memory it lies in.
    pub region: Region,
    /// The first byte.
    pub offset: u64,
    /// The number of bytes.
    pub bytes: u64,
}

/// One run of a kernel over a grid of work items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// The position of the kernel in the program.
    pub kernel: u32,
    /// The kernel's arguments in order.
    pub buffers: Vec<BufferRef>,
    /// The values of the kernel's symbols in order.
    pub symbols: Vec<i64>,
    /// The number of work items.
    pub grid: u64,
}

/// The description of a run for one choice of shapes.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Bytes of working memory.
    pub arena_bytes: u64,
    /// Bytes of each state tensor; states keep their contents as long as their size stays, and are zeros when it is new.
    pub state_bytes: Vec<u64>,
    /// Bytes of each input tensor.
    pub input_bytes: Vec<u64>,
    /// Bytes of each output tensor.
    pub output_bytes: Vec<u64>,
    /// The dispatches in order; each sees the results of those before it.
    pub dispatches: Vec<Dispatch>,
}

/// Working memory and threads of one session.
pub trait Executor: Send {
    /// Checks every buffer reference against the given sizes and allocates missing memory. Called whenever a size changes, which
    /// for language models is every token: should not allocate unless there are more dispatches or bytes than before.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when a dispatch names a kernel or memory that does not exist.
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError>;

    /// Runs the dispatches that were prepared last. Allocates nothing.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when the tensors do not have the prepared sizes.
    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError>;

    /// As [`Executor::run`], and adds the seconds that each dispatch took to `seconds`, one entry per dispatch.
    ///
    /// # Errors
    /// As [`Executor::run`], and [`DeviceError::Unsupported`] if the device cannot time single dispatches.
    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError>;

    /// The contents of a state tensor, by position. The next run sees changes to them.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] if there is no such state, and errors of the device.
    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError>;

    /// The interface for runs that are shared with another device; `None` if this executor has none.
    fn partial(&mut self) -> Option<&mut dyn PartialExecutor> {
        None
    }

    /// The interface for tensors that stay on the device; `None` if this executor has none.
    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        None
    }

    /// Bytes that the last run copied between devices, on executors that use several.
    fn copied_bytes(&self) -> u64 {
        0
    }
}

/// An executor that runs some steps of a plan while that of another device runs the others. Each is prepared with all memory and
/// with its own dispatches only. The caller copies what one has written and the other needs.
///
/// A run is a sequence of parts that together are all dispatches, in order, with copies in between, before and after. All parts get
/// the same tensors.
pub trait PartialExecutor {
    /// Runs the dispatches at these positions of the prepared ones. The part that begins at 0 reads the inputs. If `seconds` is
    /// given, waits for each dispatch and adds the time that it took, one entry for each dispatch of the part.
    ///
    /// # Errors
    /// As [`Executor::run`], and [`DeviceError::InvalidPlan`] when there are no such dispatches.
    fn run_range(&mut self, part: Range<usize>, io: &mut Io<'_>, seconds: Option<&mut [f64]>) -> Result<(), DeviceError>;

    /// Copies what all parts so far have left in a range of working memory, a state or an output to `to`, which has its size.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when there is no such memory.
    fn read(&mut self, from: &BufferRef, io: &Io<'_>, to: &mut [u8]) -> Result<(), DeviceError>;

    /// Copies `from` to a range of working memory, a state or an output that has its size; the parts from now on see it.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when there is no such memory.
    fn write(&mut self, to: &BufferRef, io: &mut Io<'_>, from: &[u8]) -> Result<(), DeviceError>;

    /// Copies an output to `io`. Does nothing on devices whose kernels write there directly.
    ///
    /// # Errors
    /// [`DeviceError::InvalidPlan`] when there is no such output.
    fn deliver(&mut self, output: u32, io: &mut Io<'_>) -> Result<(), DeviceError>;
}
