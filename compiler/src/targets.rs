//! The targets that this compiler can write code for, and the devices that run it: one line each.

use crate::error::CompileError;
use lostwax_target_api::{Device, Target, Variant, VariantInfo};
use std::sync::{Arc, LazyLock};

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

/// The device of that name; without a name the first that can run one of the variants, or the first of all.
pub fn device(name: Option<&str>, variants: &[VariantInfo]) -> Option<Arc<dyn Device>> {
    let found = match name {
        Some(name) => devices().iter().find(|device| device.name() == name),
        None => devices().iter().find(|device| device.select(variants).is_some()).or(devices().first()),
    };
    found.cloned()
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
