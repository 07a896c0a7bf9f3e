#![deny(missing_docs)]
#![deny(unsafe_code)]
//! The GPU device of lostwax: runs the shaders that `lostwax-target-gpu` writes, through wgpu.
//!
//! - [`mod@format`]: the code bytes, shared with the target.
//! - `adapters`: lists and selects the adapters of the machine.
//! - `errors`: the errors of this device.
//! - `gpu`: an open GPU, and what it reports.
//! - `program`: shaders compiled to pipelines, and the weights in GPU memory.
//! - `spirv`: checks shaders in SPIR-V before a driver gets them.
//! - `unchecked`: what wgpu gets without its own checks.
//! - `cache`: pipelines kept in a folder between processes.
//! - `memory`: allocations, copies to and from them.
//! - `layout`: what bind groups are made of.
//! - `parameters`: the integers that kernels take.
//! - `bindings`: bind groups, kept from run to run.
//! - `space`: the memory of a session, and where in it the arguments of a dispatch lie.
//! - `tensor`: memory of tensors that stay on the GPU from run to run.
//! - `executor`: one session: a table of dispatches that a run submits at once.
//! - `profile`: the time of each dispatch, by GPU timestamps.
//! - `peaks`: the measured peak of the GPU.

mod adapters;
mod bindings;
mod cache;
mod errors;
mod executor;
pub mod format;
mod gpu;
mod layout;
mod memory;
mod parameters;
mod peaks;
mod profile;
mod program;
mod space;
mod spirv;
mod tensor;
mod unchecked;

pub use errors::NAME;
pub use gpu::Handles;
/// The interface in the version that [`Handles`] are of.
pub use wgpu;

use errors::{invalid_code, missing};
use format::{Language, Shader};
use gpu::Gpu;
use lostwax_target_api::{Adapter, Content, Device, DeviceError, DeviceMemory, Peaks, Program, VariantInfo, WeightBytes};
use program::GpuProgram;
use std::any::Any;
use std::sync::{Arc, OnceLock};
use tensor::GpuTensor;

/// The architecture of shaders that any GPU takes.
pub const ARCHITECTURE: &str = "shader";

/// The fastest GPU of the machine; found and opened on first use.
pub fn device() -> Arc<dyn Device> {
    unchecked::leave_out_device_select();
    Arc::new(GpuDevice { specification: String::new(), gpu: OnceLock::new() })
}

/// A GPU that the caller has opened and goes on to use for other work. Its features and limits are what kernels may use:
/// 64-bit numbers need `SHADER_INT64` and `SHADER_F64`, profiles `TIMESTAMP_QUERY`.
///
/// Callbacks for errors and for a lost device stay those of the caller; nothing that lostwax does wrong reaches them.
pub fn device_of(handles: impl Into<Handles>) -> Arc<dyn Device> {
    let gpu = OnceLock::from(Ok(Arc::new(Gpu::of(handles.into()))));
    Arc::new(GpuDevice { specification: String::new(), gpu })
}

/// A buffer of the caller as memory for a tensor of `bytes` bytes, from its beginning. It must belong to the device's GPU, have
/// the usage `STORAGE`, and at least the bytes rounded up to a multiple of 16; to read and write the tensor from the host it needs
/// `COPY_SRC` and `COPY_DST`. What the caller does with it happens before or after a run, in the order of the queue.
///
/// The bytes up to that multiple of 16 belong to the tensor: kernels and writes from the host may change them. What lies after them
/// stays as it is.
///
/// # Errors
/// [`DeviceError::Unsupported`] if the device is of another family or the buffer lacks the usage, [`DeviceError::InvalidPlan`] if
/// the buffer is too small or belongs to another GPU.
pub fn memory_of(device: &dyn Device, buffer: wgpu::Buffer, bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
    let what = || "buffers of wgpu".into();
    let other = || DeviceError::Unsupported { device: device.name().into(), what: what() };
    let any: &dyn Any = device;
    let own = any.downcast_ref::<GpuDevice>().ok_or_else(other)?;
    Ok(Box::new(GpuTensor::of(own.gpu()?, buffer, bytes)?))
}

/// The buffer that a tensor begins in, if it is memory of this family of devices. It may be larger than the tensor.
pub fn buffer_of(memory: &dyn DeviceMemory) -> Option<&wgpu::Buffer> {
    let any: &dyn Any = memory;
    any.downcast_ref::<GpuTensor>().map(|tensor| &tensor.memory.buffer)
}

/// One GPU, opened on first use.
struct GpuDevice {
    specification: String,
    gpu: OnceLock<Result<Arc<Gpu>, String>>,
}

impl GpuDevice {
    fn gpu(&self) -> Result<Arc<Gpu>, DeviceError> {
        let open = || adapters::find(&self.specification).and_then(|adapter| Gpu::open(&adapter).map(Arc::new));
        self.gpu.get_or_init(open).clone().map_err(missing)
    }
}

impl Device for GpuDevice {
    fn name(&self) -> &str {
        NAME
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        let VariantInfo { device, arch, os, abi, features, .. } = variant;
        let is_own = device == NAME && arch == ARCHITECTURE && os.is_empty() && abi.is_empty() && features.is_empty();
        (!is_own).then(|| format!("it is not code of {NAME} for {ARCHITECTURE}"))
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        let shaders = format::read(code).map_err(|error| invalid_code(error.to_string()))?;
        Ok(Arc::new(GpuProgram::new(self.gpu()?, shaders, (*weights).as_ref())?))
    }

    fn contents(&self, code: &[u8]) -> Result<Vec<Content>, DeviceError> {
        let shaders = format::read(code).map_err(|error| invalid_code(error.to_string()))?;
        let content = |language: Language| {
            let sizes = shaders.iter().map(|shader| written_bytes(shader, language));
            let (kernels, bytes) = sizes.fold((0, 0), |(kernels, all), bytes| (kernels + usize::from(bytes > 0), all + bytes));
            let part = if kernels < shaders.len() { format!(" of {kernels} kernels") } else { String::new() };
            Content { name: format!("{}{part}", language.name()), bytes }
        };
        Ok(Language::ALL.into_iter().map(content).filter(|content| content.bytes > 0).collect())
    }

    fn adapters(&self) -> Vec<Adapter> {
        adapters::describe()
    }

    fn open_adapter(&self, specification: &str) -> Result<Arc<dyn Device>, DeviceError> {
        adapters::find(specification).map_err(missing)?;
        Ok(Arc::new(GpuDevice { specification: specification.into(), gpu: OnceLock::new() }))
    }

    fn allocate(&self, bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
        Ok(Box::new(GpuTensor::new(self.gpu()?, bytes)?))
    }

    fn peaks(&self, _threads: usize) -> Result<Option<Peaks>, DeviceError> {
        peaks::measure(&*self.gpu()?).map(Some)
    }
}

/// The bytes of all variants in a language.
fn written_bytes(shader: &Shader, language: Language) -> u64 {
    shader.variants.iter().filter_map(|variant| variant.sources.get(&language)).map(|source| source.len() as u64).sum()
}
