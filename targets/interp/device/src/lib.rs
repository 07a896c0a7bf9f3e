#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The smallest device: runs kernels, as `lostwax-target-interp` writes them, in the reference interpreter.
//!
//! - [`mod@format`]: the code bytes, shared with the target.
//! - `program`: loaded kernels, and how one runs.
//!
//! Slow, and unlike other devices it allocates while it runs, as the reference interpreter does.

pub mod format;
mod program;

pub use format::{ARCHITECTURE, NAME};
use lostwax_target_api::{Device, DeviceError, DeviceMemory, HostMemory, Program, VariantInfo, WeightBytes};
use program::{InterpProgram, allocate, invalid_code};
use std::sync::Arc;

/// The reference interpreter.
pub fn device() -> Arc<dyn Device> {
    Arc::new(Interp)
}

struct Interp;

impl Device for Interp {
    fn name(&self) -> &str {
        NAME
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        let VariantInfo { device, arch, os, abi, features, .. } = variant;
        let is_own = device == NAME && arch == ARCHITECTURE && os.is_empty() && abi.is_empty() && features.is_empty();
        (!is_own).then(|| format!("it is not code of {NAME} for {ARCHITECTURE} machine"))
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        let kernels = format::read(code).map_err(invalid_code)?;
        Ok(Arc::new(InterpProgram::new(kernels, weights)))
    }

    fn allocate(&self, bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
        Ok(Box::new(HostMemory(allocate(bytes)?)))
    }
}
