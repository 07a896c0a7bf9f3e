//! What the compiler knows, as values: targets with their devices, optimization levels, passes, rewrite rules and a cost model.

use crate::error::CompileError;
use crate::level::{self, Level};
use lostwax_ir::suggest::question;
use lostwax_passes::Registry as PassRegistry;
use lostwax_target_api::{Device, DeviceError, Target, Variant, VariantInfo};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A target, and the device that runs its code on this machine.
#[derive(Clone)]
pub struct Backend {
    /// The compiling half.
    pub target: Arc<dyn Target>,
    /// The running half; none if this machine cannot run the target's code.
    pub device: Option<Arc<dyn Device>>,
}

impl Backend {
    /// A target with its device.
    pub fn new(target: impl Into<Arc<dyn Target>>, device: Arc<dyn Device>) -> Self {
        Self { target: target.into(), device: Some(device) }
    }

    /// A target whose code runs on other machines only.
    pub fn cross(target: impl Into<Arc<dyn Target>>) -> Self {
        Self { target: target.into(), device: None }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("target", &self.target.name()).finish_non_exhaustive()
    }
}

/// Everything that a compiler can be extended with. [`Registry::default`] is what lostwax ships; programs add to it and hand it to
/// [`compile`](crate::model::compile) or to the command line.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The backends by the names of their targets; the first one is the default.
    pub backends: Vec<Backend>,
    /// The operators and model families that importers know.
    pub import: lostwax_import::Registry,
    /// The optimization levels by number, at least one; each does what those before it do.
    pub levels: Vec<Level>,
    /// The passes, rewrite rules and cost model. A [`lostwax_passes::Context`] with this registry runs them.
    pub passes: Arc<PassRegistry>,
    /// Devices on chosen adapters, so that the same name gives the same device, and sessions share loaded code.
    chosen: DeviceCache,
}

/// Devices by `NAME:ADAPTER`.
#[derive(Clone, Default)]
struct DeviceCache(Arc<Mutex<BTreeMap<String, Arc<dyn Device>>>>);

impl fmt::Debug for DeviceCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCache")
    }
}

/// The registry that lostwax ships: one line for each target.
static DEFAULT: LazyLock<Registry> = LazyLock::new(|| Registry {
    backends: vec![
        Backend::new(lostwax_target_cpu::target(), lostwax_target_cpu::device()),
        Backend::new(lostwax_target_gpu::target(), lostwax_target_gpu::device()),
        Backend::new(lostwax_target_interp::target(), lostwax_target_interp::device()),
    ],
    import: lostwax_import::Registry::default(),
    levels: level::LEVELS.to_vec(),
    passes: Arc::default(),
    chosen: DeviceCache::default(),
});

impl Default for Registry {
    /// What lostwax ships. All copies share their devices.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl Registry {
    /// The targets in order.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<dyn Target>> {
        self.backends.iter().map(|backend| &backend.target)
    }

    /// The devices in the order of their targets.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<dyn Device>> {
        self.backends.iter().filter_map(|backend| backend.device.as_ref())
    }

    /// The name of the target that is used when none is asked for.
    ///
    /// # Errors
    /// [`CompileError::UnknownTarget`] if the registry has no targets.
    pub fn default_target(&self) -> Result<&str, CompileError> {
        self.targets().next().map(|target| target.name()).ok_or_else(|| self.unknown_target("default"))
    }

    /// The optimization level of that number.
    ///
    /// # Errors
    /// [`CompileError::UnknownLevel`] if there is none.
    pub fn level(&self, number: u8) -> Result<&Level, CompileError> {
        let highest = self.levels.len().saturating_sub(1);
        self.levels.get(usize::from(number)).ok_or(CompileError::UnknownLevel { number, highest })
    }

    /// The number of the highest optimization level.
    pub fn highest_level(&self) -> u8 {
        u8::try_from(self.levels.len().saturating_sub(1)).unwrap_or(u8::MAX)
    }

    /// The target and variants that `NAME` or `NAME:SPECIFICATION` stands for.
    ///
    /// # Errors
    /// [`CompileError::UnknownTarget`], or the target's own error for a specification that it does not understand.
    pub fn select(&self, text: &str) -> Result<SelectedTarget, CompileError> {
        let (name, specification) = text.split_once(':').unwrap_or((text, ""));
        let target = self.targets().find(|target| target.name() == name).ok_or_else(|| self.unknown_target(name))?;
        let variants = target.variants(specification)?;
        Ok(SelectedTarget { target: Arc::clone(target), variants })
    }

    fn unknown_target(&self, name: &str) -> CompileError {
        let known = self.targets().map(|target| target.name().to_string()).collect();
        CompileError::UnknownTarget { name: name.to_string(), known }
    }

    /// The device that `NAME` or `NAME:ADAPTER` stands for; without a name the first that can run one of the variants, or the first
    /// of all. The same name gives the same device at each call.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] if there is no device of that name, or the device's own error for an adapter.
    pub fn device(&self, name: Option<&str>, variants: &[VariantInfo]) -> Result<Arc<dyn Device>, DeviceError> {
        let Some(name) = name else {
            let found = self.devices().find(|device| device.select(variants).is_some()).or(self.devices().next());
            return found.cloned().ok_or_else(|| self.missing_device("usable"));
        };
        let (family, adapter) = name.split_once(':').unwrap_or((name, ""));
        let device = self.devices().find(|device| device.name() == family).ok_or_else(|| self.missing_device(family))?;
        if adapter.is_empty() { Ok(Arc::clone(device)) } else { self.choose(name, &**device, adapter) }
    }

    /// Opens an adapter only once.
    fn choose(&self, name: &str, device: &dyn Device, adapter: &str) -> Result<Arc<dyn Device>, DeviceError> {
        let mut chosen = self.chosen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = chosen.get(name) {
            return Ok(Arc::clone(device));
        }
        let device = device.open_adapter(adapter)?;
        chosen.insert(name.into(), Arc::clone(&device));
        Ok(device)
    }

    fn missing_device(&self, name: &str) -> DeviceError {
        let known: Vec<&str> = self.devices().map(|device| device.name()).collect();
        let question = question(name, known.iter().copied());
        let problem = format!("known: {}; see `lostwax devices`{question}", known.join(", "));
        DeviceError::Missing { device: name.into(), problem }
    }

    /// The name of the variant that a device runs of all that the targets write for this machine.
    pub fn best_variant(&self, device: &dyn Device) -> Option<String> {
        let variants = self.targets().filter_map(|target| target.variants("").ok()).flatten();
        let infos: Vec<VariantInfo> = variants.map(|variant| variant.info).collect();
        infos.get(device.select(&infos)?).map(|info| info.name.clone())
    }

    /// What this machine loses with the variants that were selected, if it could run a better one of those that the target has by
    /// default; nothing for code that is for other machines, and for variants that only a specification names.
    pub fn missing_variant(&self, selection: &SelectedTarget) -> Option<String> {
        let listed = selection.target.variants("").ok()?;
        let (best, chosen) = (self.pick(&listed)?, self.pick(&selection.variants)?);
        let problem = || format!("this machine can run {best}, but code is only generated for {chosen}; see `lostwax targets`");
        (best != chosen && listed.iter().any(|variant| variant.info.name == chosen)).then(problem)
    }

    /// The name of the variant that a device of this machine runs.
    fn pick(&self, variants: &[Variant]) -> Option<String> {
        let infos: Vec<VariantInfo> = variants.iter().map(|variant| variant.info.clone()).collect();
        let position = self.devices().find_map(|device| device.select(&infos))?;
        infos.get(position).map(|info| info.name.clone())
    }
}

/// A target with the variants that were asked for.
pub struct SelectedTarget {
    /// The target.
    pub target: Arc<dyn Target>,
    /// The variants, best first.
    pub variants: Vec<Variant>,
}
