#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The GPU device of lostwax: runs the shaders that `lostwax-target-gpu` writes, through wgpu.
//!
//! - [`mod@format`]: the code bytes, shared with the target.
//! - `gpu`: the processor, and what it answers when something goes wrong.
//! - `program`: shaders made into pipelines, and the weights in the processor's memory.
//! - `memory`: allocations, copies to and from them.
//! - `executor`: one session: its memory, and a table of dispatches that a run hands over at once.

mod executor;
pub mod format;
mod gpu;
mod memory;
mod program;

use format::Language;
use gpu::Gpu;
use lostwax_target_api::{Content, Device, DeviceError, Program, VariantInfo, WeightBytes};
use program::GpuProgram;
use std::sync::{Arc, OnceLock};

/// The name of the device family.
pub const NAME: &str = "gpu";

/// The architecture of shaders that any processor takes.
pub const ARCHITECTURE: &str = "shader";

/// The fastest graphics processor of the machine, which is looked for when it is first used.
pub fn device() -> Arc<dyn Device> {
    Arc::new(Fastest(OnceLock::new()))
}

struct Fastest(OnceLock<Result<Arc<Gpu>, String>>);

impl Fastest {
    fn gpu(&self) -> Result<Arc<Gpu>, DeviceError> {
        let found = self.0.get_or_init(|| Gpu::fastest().map(Arc::new));
        found.clone().map_err(|problem| DeviceError::Unsupported { device: NAME.into(), what: problem })
    }
}

impl Device for Fastest {
    fn name(&self) -> &str {
        NAME
    }

    fn select(&self, variants: &[VariantInfo]) -> Option<usize> {
        let fits = |variant: &VariantInfo| variant.device == NAME && variant.arch == ARCHITECTURE && variant.features.is_empty();
        variants.iter().position(fits)
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        let shaders = format::read(code).map_err(|error| invalid_code(error.to_string()))?;
        Ok(Arc::new(GpuProgram::new(self.gpu()?, shaders, (*weights).as_ref())?))
    }

    fn contents(&self, code: &[u8]) -> Result<Vec<Content>, DeviceError> {
        let shaders = format::read(code).map_err(|error| invalid_code(error.to_string()))?;
        let content = |language: Language| {
            let sources = shaders.iter().filter_map(|shader| shader.sources.get(&language));
            let (kernels, bytes) = sources.fold((0, 0), |(kernels, bytes), source| (kernels + 1, bytes + source.len() as u64));
            let part = if kernels < shaders.len() { format!(" of {kernels} kernels") } else { String::new() };
            Content { name: format!("{}{part}", language.name()), bytes }
        };
        Ok(Language::ALL.into_iter().map(content).collect())
    }
}

fn invalid_code(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}
