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
