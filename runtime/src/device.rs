use lostwax_target_api as api;
use std::sync::Arc;

/// Something that runs compiled kernels. Clones are the same device.
#[derive(Clone)]
pub struct Device {
    own: Arc<dyn api::Device>,
    fallbacks: Vec<Device>,
}

impl Device {
    /// The processor that this program runs on; one device per process, so that sessions share loaded code.
    #[cfg(feature = "cpu")]
    pub fn cpu() -> Self {
        static CPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
        CPU.get_or_init(|| lostwax_device_cpu::device().into()).clone()
    }

    /// The graphics processor that the system prefers for speed; one device per process, so that sessions share loaded code. Whether
    /// there is one turns out with the first session.
    #[cfg(feature = "gpu")]
    pub fn gpu() -> Self {
        static GPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
        GPU.get_or_init(|| lostwax_device_gpu::device().into()).clone()
    }

    /// The name for reports.
    pub fn name(&self) -> &str {
        self.own.name()
    }

    /// Adds a device that runs the steps which code for this one leaves to devices of its name. The processor, where
    /// [`Device::cpu`] is there, need not be added.
    pub fn with_fallback(mut self, device: impl Into<Device>) -> Self {
        self.fallbacks.push(device.into());
        self
    }

    /// The device of that name that runs what this one does not.
    pub(crate) fn fallback(&self, name: &str) -> Option<Device> {
        let added = self.fallbacks.iter().find(|device| device.name() == name).cloned();
        #[cfg(feature = "cpu")]
        let added = added.or_else(|| Some(Self::cpu()).filter(|device| device.name() == name));
        added
    }

    pub(crate) fn api(&self) -> &dyn api::Device {
        &*self.own
    }

    pub(crate) fn is_same(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.own, &other.own)
    }
}

impl From<Arc<dyn api::Device>> for Device {
    fn from(own: Arc<dyn api::Device>) -> Self {
        Self { own, fallbacks: Vec::new() }
    }
}
