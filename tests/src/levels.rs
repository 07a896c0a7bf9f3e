//! Each level of an instruction set that this machine can run, not only the best.

use lostwax::target_api::{Device, DeviceError, DeviceMemory, Program, Target, VariantInfo, WeightBytes};
use lostwax_runtime::Model;
use std::sync::Arc;

/// A device that runs only the variant of one name.
struct Restricted {
    device: Arc<dyn Device>,
    variant: String,
}

impl Device for Restricted {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        if variant.name == self.variant {
            self.device.unsupported_reason(variant)
        } else {
            Some(format!("it is not {}", self.variant))
        }
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        self.device.load(code, weights)
    }

    fn allocate(&self, bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
        self.device.allocate(bytes)
    }
}

/// A target with those of its default variants that a device can run, as `--target` takes it.
///
/// # Errors
/// If there are none, or what the target reports.
pub fn runnable(target: &dyn Target, device: &dyn Device) -> Result<String, String> {
    let name = target.name();
    let variants = target.variants("").map_err(|error| error.to_string())?;
    let can_run: Vec<&VariantInfo> =
        variants.iter().map(|variant| &variant.info).filter(|info| device.unsupported_reason(info).is_none()).collect();
    let first = can_run.first().ok_or_else(|| format!("this machine runs no variant of the target {name}"))?;
    let listed = || can_run.iter().fold(format!("{name}:{}", first.arch), |text, info| text + "+" + &info.name);
    Ok(if variants.len() == 1 { name.to_string() } else { listed() })
}

/// The variants of a model that a device can run, by name, each with the device restricted to it; best first.
///
/// # Errors
/// That there are none.
pub fn devices(model: &Model, device: &Arc<dyn Device>) -> Result<Vec<(String, lostwax_runtime::Device)>, String> {
    let restricted = |variant: &VariantInfo| {
        let restricted: Arc<dyn Device> = Arc::new(Restricted { device: Arc::clone(device), variant: variant.name.clone() });
        (variant.name.clone(), restricted.into())
    };
    let can_run = model.variants().iter().filter(|variant| device.unsupported_reason(variant).is_none());
    let devices: Vec<_> = can_run.map(restricted).collect();
    if devices.is_empty() {
        Err(format!("the artifact has no code that the {} device can run", device.name()))
    } else {
        Ok(devices)
    }
}
