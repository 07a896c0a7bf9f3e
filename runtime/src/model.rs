use crate::bind::bind_all;
use crate::bytes::{FileBytes, Part, aligned, read};
use crate::device::missing;
use crate::heterogeneous::{HeterogeneousProgram, merge};
use crate::info::{entry_point_info, tensor_info};
use crate::prepare::{Evaluator, state_specs};
use crate::{Bindings, Device, EntryPointInfo, Requirements, RuntimeError, SymbolInfo, TensorInfo};
use lostwax_format::{Artifact, EntryPoint, Variant};
use lostwax_target_api::{Program, VariantInfo};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A checked artifact. Clones are the same model; all clones and their sessions share weights and code.
#[derive(Clone)]
pub struct Model(Arc<Shared>);

struct Shared {
    bytes: FileBytes,
    artifact: Artifact,
    variants: Vec<VariantInfo>,
    programs: Mutex<Vec<Loaded>>,
}

struct Loaded {
    device: Device,
    variant: usize,
    program: Arc<dyn Program>,
}

impl Model {
    /// Opens a file. It is mapped, not read: weights come into memory when they are used, and sessions and processes share them.
    /// The file must not be changed while the model is open; to replace it, write another file and rename that.
    ///
    /// Plan and code are checked against their hashes, weights by [`Model::verify_hashes`] only, since that takes the time to read them.
    ///
    /// # Errors
    /// [`RuntimeError::Artifact`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RuntimeError> {
        Self::from_shared(read(path.as_ref())?)
    }

    /// [`Model::open`] and [`Model::verify_hashes`].
    ///
    /// # Errors
    /// [`RuntimeError::Artifact`].
    pub fn open_verified(path: impl AsRef<Path>) -> Result<Self, RuntimeError> {
        let model = Self::open(path)?;
        model.verify_hashes()?;
        Ok(model)
    }

    /// A model from bytes in memory: `Vec<u8>`, `Arc<[u8]>` and the like. They are copied once if they do not start at a multiple
    /// of 64, which [`crate::AlignedBuffer`] ensures.
    ///
    /// # Errors
    /// [`RuntimeError::Artifact`], and [`RuntimeError::LimitExceeded`] if there is no memory for the copy.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, RuntimeError> {
        Self::from_shared(aligned(bytes)?)
    }

    /// A model from bytes in the program. [`crate::include_artifact!`] aligns them; bytes of [`include_bytes!`] are copied once.
    ///
    /// # Errors
    /// As [`Model::from_bytes`].
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, RuntimeError> {
        Self::from_bytes(bytes)
    }

    fn from_shared(bytes: FileBytes) -> Result<Self, RuntimeError> {
        let artifact = Artifact::parse((*bytes).as_ref())?;
        let variants = artifact.plan().variants.iter().map(variant_info).collect();
        Ok(Self(Arc::new(Shared { bytes, artifact, variants, programs: Mutex::default() })))
    }

    /// Checks every byte of the file, weights included.
    ///
    /// # Errors
    /// [`RuntimeError::Artifact`] naming the first damaged section.
    pub fn verify_hashes(&self) -> Result<(), RuntimeError> {
        Ok(self.0.artifact.verify(self.file_bytes())?)
    }

    /// A variant together with the code that runs the steps which it leaves to another device.
    pub(crate) fn with_fallback(
        &self,
        device: &Device,
        variant: &Variant,
        program: Arc<dyn Program>,
    ) -> Result<(Variant, Arc<dyn Program>), RuntimeError> {
        let Variant { fallback_steps: steps, fallback_device: name, .. } = variant;
        let missing =
            || RuntimeError::MissingFallback { device: device.name().into(), steps: steps.len(), fallback: name.clone() };
        let fallback = device.fallback(name).ok_or_else(missing)?;
        let position = self.select(&fallback)?;
        let chosen = self.artifact().plan().variants.get(position).filter(|chosen| chosen.device == *name);
        let chosen = chosen.filter(|chosen| !steps.iter().any(|step| chosen.leaves(*step as usize))).ok_or_else(missing)?;
        let programs = [program, self.program(&fallback, position)?];
        let names = [device, &fallback].map(|device| device.name().to_owned());
        Ok((merge(variant, chosen), Arc::new(HeterogeneousProgram { programs, names })))
    }

    /// The memory that a run takes when the symbols have these values. Allocates none of it.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such entry point, or a symbol is missing or out of range.
    pub fn requirements(&self, entry_point: Option<&str>, bindings: &Bindings) -> Result<Requirements, RuntimeError> {
        let (plan, entry) = (self.artifact().plan(), self.entry_point(entry_point)?.1);
        let bound = bind_all(plan, entry, bindings, &[])?;
        Evaluator { plan, entry, bound: &bound, weight_bytes: self.weight_bytes() }.requirements()
    }

    /// What a run takes when the inputs, in the order of the entry point, have these shapes, and other symbols these values.
    ///
    /// # Errors
    /// As [`Model::requirements`].
    pub fn requirements_for(
        &self,
        entry_point: Option<&str>,
        shapes: &[&[usize]],
        bindings: &Bindings,
    ) -> Result<Requirements, RuntimeError> {
        let (plan, entry) = (self.artifact().plan(), self.entry_point(entry_point)?.1);
        let bound = bind_all(plan, entry, bindings, shapes)?;
        Evaluator { plan, entry, bound: &bound, weight_bytes: self.weight_bytes() }.requirements()
    }

    /// The name of the model.
    pub fn name(&self) -> &str {
        &self.artifact().plan().model_name
    }

    /// The functions of the model; the first is the default.
    pub fn entry_points(&self) -> Vec<EntryPointInfo> {
        let plan = self.artifact().plan();
        plan.entry_points.iter().map(|entry| entry_point_info(plan, entry)).collect()
    }

    /// The tensors that live as long as a session.
    pub fn states(&self) -> Vec<TensorInfo> {
        let plan = self.artifact().plan();
        state_specs(plan).map(|spec| tensor_info(plan, spec)).collect()
    }

    /// The named integers that sizes depend on.
    pub fn symbols(&self) -> Vec<SymbolInfo> {
        let symbols = self.artifact().plan().symbols.iter();
        symbols.map(|symbol| SymbolInfo { name: symbol.name.clone(), min: symbol.min, max: symbol.max }).collect()
    }

    /// The variants of the code.
    pub fn variants(&self) -> &[VariantInfo] {
        &self.0.variants
    }

    /// The checked artifact, with all that tools may want to know.
    pub fn artifact(&self) -> &Artifact {
        &self.0.artifact
    }

    /// The bytes of the artifact.
    pub fn file_bytes(&self) -> &[u8] {
        (*self.0.bytes).as_ref()
    }

    pub(crate) fn weight_bytes(&self) -> u64 {
        self.artifact().weights().len() as u64
    }

    /// The entry point of that name, or the first, with its position.
    pub(crate) fn entry_point(&self, name: Option<&str>) -> Result<(usize, &EntryPoint), RuntimeError> {
        let entries = &self.artifact().plan().entry_points;
        let found = entries.iter().enumerate().find(|(_, entry)| name.is_none_or(|name| entry.name == name));
        found.ok_or_else(|| {
            let known: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            RuntimeError::input(
                format!("entry point `{}`", name.unwrap_or_default()),
                format!("there is no such entry point; there are {known:?}"),
            )
        })
    }

    pub(crate) fn select(&self, device: &Device) -> Result<usize, RuntimeError> {
        let chosen = device.api().select(&self.0.variants).filter(|variant| *variant < self.0.variants.len());
        chosen.ok_or_else(|| RuntimeError::UnsupportedDevice {
            device: device.name().into(),
            variants: describe_variants(&self.0.variants, device),
        })
    }

    /// The loaded code of a variant; loaded once per device.
    pub(crate) fn program(&self, device: &Device, variant: usize) -> Result<Arc<dyn Program>, RuntimeError> {
        let mut programs = self.0.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = programs.iter().find(|loaded| loaded.variant == variant && loaded.device.is_same(device));
        if let Some(loaded) = loaded {
            return Ok(Arc::clone(&loaded.program));
        }
        let program = self.load(device, variant)?;
        programs.push(Loaded { device: device.clone(), variant, program: Arc::clone(&program) });
        Ok(program)
    }

    fn load(&self, device: &Device, variant: usize) -> Result<Arc<dyn Program>, RuntimeError> {
        let code = self.artifact().code(variant).unwrap_or_default();
        let code = self.file_bytes().get(code).unwrap_or_default();
        let weights = Part { bytes: Arc::clone(&self.0.bytes), range: self.artifact().weights() };
        let program = device.api().load(code, Arc::new(weights))?;
        let expected = self.artifact().plan().variants.get(variant).map_or(0, |variant| variant.kernels.len());
        if program.kernel_count() == expected {
            return Ok(program);
        }
        let problem = format!("it has {} kernels, the plan names {expected}", program.kernel_count());
        Err(lostwax_target_api::DeviceError::InvalidCode { device: device.name().into(), problem }.into())
    }
}

fn variant_info(variant: &Variant) -> VariantInfo {
    VariantInfo {
        device: variant.device.clone(),
        arch: variant.arch.clone(),
        os: variant.os.clone(),
        abi: variant.abi.clone(),
        name: variant.name.clone(),
        features: variant.features.clone(),
    }
}

/// The variants, each with why the device does not run it.
fn describe_variants(variants: &[VariantInfo], device: &Device) -> String {
    let reason =
        |variant: &VariantInfo| device.api().unsupported_reason(variant).map_or_else(String::new, |why| format!(" ({why})"));
    let texts: Vec<String> = variants.iter().map(|variant| format!("{variant}{}", reason(variant))).collect();
    if texts.is_empty() { "none".into() } else { texts.join("; ") }
}

impl Device {
    /// The device of this build that `NAME` or `NAME:ADAPTER` stands for; without a name the first that can run a variant of the
    /// model, or the first of all.
    ///
    /// # Errors
    /// [`RuntimeError::Device`] if there is no such device or adapter.
    pub fn find(name: Option<&str>, model: &Model) -> Result<Self, RuntimeError> {
        let all = Self::all();
        let Some(name) = name else {
            let found = all.iter().find(|device| device.api().select(model.variants()).is_some()).or(all.first());
            return found.cloned().ok_or_else(|| missing("usable", &all));
        };
        let (family, adapter) = name.split_once(':').unwrap_or((name, ""));
        let device = all.iter().find(|device| device.name() == family).ok_or_else(|| missing(family, &all))?;
        if adapter.is_empty() { Ok(device.clone()) } else { device.open_adapter(adapter) }
    }
}
