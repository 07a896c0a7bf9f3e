use crate::RuntimeError;
use lostwax_target_api as api;
use std::sync::Arc;

/// Something that runs compiled kernels. Clones are the same device.
#[derive(Clone)]
pub struct Device(Arc<dyn api::Device>);

impl Device {
    /// The processor that this program runs on; one device per process, so that sessions share loaded code.
    #[cfg(feature = "cpu")]
    pub fn cpu() -> Self {
        static CPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
        CPU.get_or_init(|| Self(lostwax_device_cpu::device())).clone()
    }

    /// The graphics processor that the system prefers for speed; one device per process, so that sessions share loaded code. Whether
    /// there is one turns out with the first session.
    #[cfg(feature = "gpu")]
    pub fn gpu() -> Self {
        static GPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
        GPU.get_or_init(|| Self(lostwax_device_gpu::device())).clone()
    }

    /// A graphics processor that the caller has opened and goes on to use: a `wgpu` device and its queue, or
    /// `lostwax_device_gpu::Handles`. Each call makes a device of its own; clone it, so that sessions share loaded code.
    #[cfg(feature = "gpu")]
    pub fn from_wgpu(handles: impl Into<lostwax_device_gpu::Handles>) -> Self {
        Self(lostwax_device_gpu::device_of(handles))
    }

    /// The device of the same family on the adapter that a specification names: what follows `NAME:` on the command line. Each call
    /// makes a device of its own; clone it, so that sessions share loaded code.
    ///
    /// # Errors
    /// [`RuntimeError::Device`] if there is no such adapter.
    pub fn choose(&self, specification: &str) -> Result<Self, RuntimeError> {
        Ok(Self(self.0.choose(specification)?))
    }

    /// What this machine has for the family, the one that the family prefers first.
    pub fn describe(&self) -> Vec<api::Adapter> {
        self.0.describe()
    }

    /// What the device reaches at most, measured by this call; nothing if it cannot measure itself.
    ///
    /// # Errors
    /// [`RuntimeError::Device`] if the device fails.
    pub fn ceilings(&self) -> Result<Option<api::Ceilings>, RuntimeError> {
        Ok(self.0.ceilings()?)
    }

    /// The name for reports.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn api(&self) -> &dyn api::Device {
        &*self.0
    }

    pub(crate) fn is_same(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Arc<dyn api::Device>> for Device {
    fn from(device: Arc<dyn api::Device>) -> Self {
        Self(device)
    }
}
