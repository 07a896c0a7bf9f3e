use crate::RuntimeError;
use lostwax_target_api as api;
use std::sync::Arc;

/// Something that runs compiled kernels. Clones are the same device.
#[derive(Clone)]
pub struct Device {
    own: Arc<dyn api::Device>,
    fallbacks: Vec<Device>,
}

impl Device {
    /// The CPU; one device per process, so that sessions share loaded code.
    #[cfg(feature = "cpu")]
    pub fn cpu() -> Self {
        static CPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
        CPU.get_or_init(|| lostwax_device_cpu::device().into()).clone()
    }

    /// The GPU that the system considers fastest; one device per process, so that sessions share loaded code. The first session fails if
    /// there is none.
    #[cfg(feature = "gpu")]
    pub fn gpu() -> Self {
        static GPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
        GPU.get_or_init(|| lostwax_device_gpu::device().into()).clone()
    }

    /// A GPU that the caller has opened and continues to use: a `wgpu` device and its queue, or
    /// `lostwax_device_gpu::Handles`. Each call makes a device of its own; clone it, so that sessions share loaded code.
    #[cfg(feature = "gpu")]
    pub fn from_wgpu(handles: impl Into<lostwax_device_gpu::Handles>) -> Self {
        lostwax_device_gpu::device_of(handles).into()
    }

    /// The devices of this build, in order of preference.
    pub(crate) fn all() -> Vec<Self> {
        vec![
            #[cfg(feature = "cpu")]
            Self::cpu(),
            #[cfg(feature = "gpu")]
            Self::gpu(),
        ]
    }

    /// The device of the same family on the adapter that a specification names: what follows `NAME:` on the command line. Each call
    /// makes a device of its own; clone it, so that sessions share loaded code.
    ///
    /// # Errors
    /// [`RuntimeError::Device`] if there is no such adapter.
    pub fn open_adapter(&self, specification: &str) -> Result<Self, RuntimeError> {
        let fallbacks = self.fallbacks.clone();
        Ok(Self { own: self.own.open_adapter(specification)?, fallbacks })
    }

    /// The adapters of this machine in the device family, the preferred one first.
    pub fn adapters(&self) -> Vec<api::Adapter> {
        self.own.adapters()
    }

    /// Measures the peak throughput and bandwidth of the device with a number of threads, 0 to let the device choose. Returns
    /// `None` if the device cannot measure itself.
    ///
    /// # Errors
    /// [`RuntimeError::Device`] if the device fails.
    pub fn peaks(&self, threads: usize) -> Result<Option<api::Peaks>, RuntimeError> {
        Ok(self.own.peaks(threads)?)
    }

    /// The name for reports.
    pub fn name(&self) -> &str {
        self.own.name()
    }

    /// Adds a fallback device, for steps that the code for this device leaves to it. Devices of this build need not be
    /// added.
    pub fn with_fallback(mut self, device: impl Into<Device>) -> Self {
        self.fallbacks.push(device.into());
        self
    }

    /// The device of that name that runs what this one does not.
    pub(crate) fn fallback(&self, name: &str) -> Option<Device> {
        let added = self.fallbacks.iter().find(|device| device.name() == name).cloned();
        added.or_else(|| Self::all().into_iter().find(|device| device.name() == name))
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

/// The error that this build has no such device.
pub(crate) fn missing(device: &str, known: &[Device]) -> RuntimeError {
    let names: Vec<&str> = known.iter().map(Device::name).collect();
    api::DeviceError::Missing { device: device.to_string(), problem: format!("this build has: {}", names.join(", ")) }.into()
}
