//! The targets that this compiler can write code for, and the devices that run it: one line each.

use crate::error::CompileError;
use lostwax_target_api::{Device, DeviceError, Target, Variant, VariantInfo};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Lists the crates, each with a function `target` that gives the compiling half and a function `device` that gives the
/// running half. The first is the default.
macro_rules! targets {
    ($($module:ident,)*) => {
        /// All targets.
        pub fn targets() -> Vec<Box<dyn Target>> {
            vec![$($module::target(),)*]
        }

        /// All devices, in the order of their targets; the same ones at each call, so that sessions share loaded code.
        pub fn devices() -> &'static [Arc<dyn Device>] {
            static DEVICES: LazyLock<Vec<Arc<dyn Device>>> = LazyLock::new(|| vec![$($module::device(),)*]);
            &DEVICES
        }
    };
}

targets! {
    lostwax_target_cpu,
    lostwax_target_gpu,
    lostwax_target_interp,
}

/// The name of the target that is used when none is asked for.
pub fn default_target() -> &'static str {
    targets().first().map_or("", |target| target.name())
}

/// The device that `NAME` or `NAME:SPECIFICATION` stands for; without a text the first that can run one of the variants, or the
/// first of all. The same text gives the same device at each call, so that sessions share loaded code.
///
/// # Errors
/// [`DeviceError::Missing`] if there is no device of that name, or the device's own error for a specification.
pub fn device(text: Option<&str>, variants: &[VariantInfo]) -> Result<Arc<dyn Device>, DeviceError> {
    let Some(text) = text else {
        let found = devices().iter().find(|device| device.select(variants).is_some()).or(devices().first());
        return found.cloned().ok_or_else(|| missing("of any kind"));
    };
    let (name, specification) = text.split_once(':').unwrap_or((text, ""));
    let device = devices().iter().find(|device| device.name() == name).ok_or_else(|| missing(name))?;
    if specification.is_empty() { Ok(Arc::clone(device)) } else { choose(text, &**device, specification) }
}

/// Chooses anew only what was not chosen before.
fn choose(text: &str, device: &dyn Device, specification: &str) -> Result<Arc<dyn Device>, DeviceError> {
    static CHOSEN: Mutex<BTreeMap<String, Arc<dyn Device>>> = Mutex::new(BTreeMap::new());
    let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = chosen.get(text) {
        return Ok(Arc::clone(device));
    }
    let device = device.choose(specification)?;
    chosen.insert(text.into(), Arc::clone(&device));
    Ok(device)
}

fn missing(name: &str) -> DeviceError {
    let known: Vec<&str> = devices().iter().map(|device| device.name()).collect();
    DeviceError::Missing { device: name.into(), problem: format!("devices: {}; see `lostwax devices`", known.join(", ")) }
}

/// The name of the variant that a device takes of all that targets have for this machine.
pub fn best_variant(device: &dyn Device) -> Option<String> {
    let variants = targets().into_iter().filter_map(|target| target.variants("").ok()).flatten();
    let infos: Vec<VariantInfo> = variants.map(|variant| variant.info).collect();
    infos.get(device.select(&infos)?).map(|info| info.name.clone())
}

/// A target with the variants that were asked for.
pub struct Selection {
    /// The target.
    pub target: Box<dyn Target>,
    /// The variants, best first.
    pub variants: Vec<Variant>,
}

impl Selection {
    /// What is lost when this machine runs the variants, if it could run a better one of those that the target has by default;
    /// nothing for code that is for other machines, and for variants that only a specification names.
    pub fn missing_variant(&self) -> Option<String> {
        let listed = self.target.variants("").ok()?;
        let (best, chosen) = (pick(&listed)?, pick(&self.variants)?);
        let problem = || format!("this machine can run {best}, but there is only code for {chosen}; see `lostwax targets`");
        (best != chosen && listed.iter().any(|variant| variant.info.name == chosen)).then(problem)
    }
}

/// The name of the variant that a device of this machine runs.
fn pick(variants: &[Variant]) -> Option<String> {
    let infos: Vec<VariantInfo> = variants.iter().map(|variant| variant.info.clone()).collect();
    let position = devices().iter().find_map(|device| device.select(&infos))?;
    infos.get(position).map(|info| info.name.clone())
}

/// The target and variants that `NAME` or `NAME:SPECIFICATION` stands for.
///
/// # Errors
/// [`CompileError::UnknownTarget`], or the target's own error for a specification that it does not understand.
pub fn select(text: &str) -> Result<Selection, CompileError> {
    let (name, specification) = text.split_once(':').unwrap_or((text, ""));
    let known: Vec<String> = targets().iter().map(|target| target.name().to_string()).collect();
    let target = targets().into_iter().find(|target| target.name() == name);
    let target = target.ok_or_else(|| CompileError::UnknownTarget { name: name.to_string(), known })?;
    let variants = target.variants(specification)?;
    Ok(Selection { target, variants })
}
