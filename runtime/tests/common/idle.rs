//! A device that computes nothing.

use lostwax_runtime::api::{Device, DeviceError, Executor, Io, Prepared, Program, VariantInfo, WeightBytes};
use std::sync::Arc;

/// Has states and runs nothing.
#[derive(Clone)]
pub struct Idle {
    kernels: usize,
    state: Vec<u8>,
}

impl Idle {
    /// A device whose code has so many kernels, and whose states so many bytes each.
    pub fn new(kernels: usize, state_bytes: usize) -> Self {
        Self { kernels, state: vec![0; state_bytes] }
    }
}

impl Device for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn unsupported_reason(&self, _: &VariantInfo) -> Option<String> {
        None
    }

    fn load(&self, _: &[u8], _: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Program for Idle {
    fn kernel_count(&self) -> usize {
        self.kernels
    }

    fn executor(self: Arc<Self>, _: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(self.as_ref().clone()))
    }
}

impl Executor for Idle {
    fn prepare(&mut self, _: &Prepared) -> Result<(), DeviceError> {
        Ok(())
    }

    fn run(&mut self, _: &mut Io<'_>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn run_profiled(&mut self, _: &mut Io<'_>, _: &mut Vec<f64>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn state(&mut self, _: usize) -> Result<&mut [u8], DeviceError> {
        Ok(&mut self.state)
    }
}
