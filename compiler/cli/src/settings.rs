//! Flags that several verbs share.

use crate::error::CliError;
use crate::format::parse_bytes;
use crate::registry::registry;
use lostwax_compiler::error::CompileError;
use lostwax_compiler::level::Level;
use lostwax_compiler::model::CompileOptions;
use lostwax_import::families::quant_from_name;
use lostwax_import::{ACTIVATION_TYPES, CACHE_TYPES, ConstantSpec, DimSpec, ImportOptions, LanguageOptions, ShapeSpec};
use lostwax_ir::types::DType;
use lostwax_passes::{Context, Tier};
use lostwax_runtime::{Device, Model, RuntimeError, api};
use std::sync::Arc;

/// What flags that only language models have are listed under.
const MODELS: &str = "Language models";

/// How a model is read.
#[derive(Clone, Debug, clap::Args)]
pub struct ShapeArgs {
    /// The shape of an input: sizes (`x:1x3x224x224`), ranges (`x:1..8x3x224x224`) or names, also as multiples
    /// (`x:1x3x32*hx32*w`); repeatable.
    #[arg(long = "shape", value_name = "NAME:DIMS")]
    pub shapes: Vec<ShapeSpec>,
    /// An input that becomes a constant (`sr=16000`, `scales=1,1,2,2`), so that it may decide shapes and branches; repeatable.
    #[arg(long = "constant", value_name = "NAME=NUMBERS")]
    pub constants: Vec<ConstantSpec>,
    /// The most tokens that a language model attends to; never more than it was trained for.
    #[arg(long, value_name = "TOKENS", help_heading = MODELS, default_value_t = LanguageOptions::default().context)]
    pub context: usize,
    /// The type of a language model's caches of keys and values: f32, f16, or i8, bytes with a scale for each token and head.
    #[arg(long, value_name = "TYPE", help_heading = MODELS, default_value = "f32", value_parser = parse_cache)]
    pub cache: DType,
    /// Keep all tokens in the caches of layers that see a window, so that a text can go on from any earlier point.
    #[arg(long, help_heading = MODELS)]
    pub full_windows: bool,
    /// The number of texts that a language model decodes together, each with a cache of its own; `serve` has so many slots.
    #[arg(long, value_name = "N", help_heading = MODELS, default_value_t = LanguageOptions::default().slots)]
    pub slots: usize,
    /// The type in which the activations of a language model meet quantized weights: i8, quantized in blocks like these, or f32.
    #[arg(long, value_name = "TYPE", help_heading = MODELS, default_value = "i8", value_parser = parse_activations)]
    pub activations: DType,
    /// The type that matrices of a language model are converted to: keep, f32, f16, bf16, q8_0, q4_0, q4_k ...
    #[arg(long, value_name = "TYPE", help_heading = MODELS, default_value = "keep", value_parser = parse_quant)]
    pub quant: Quant,
}

/// What `--quant` asks for; nothing for `keep`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quant(Option<DType>);

fn parse_quant(text: &str) -> Result<Quant, String> {
    quant_from_name(text).map(Quant).map_err(|error| error.to_string())
}

fn parse_cache(text: &str) -> Result<DType, String> {
    parse_type(text, &CACHE_TYPES)
}

fn parse_activations(text: &str) -> Result<DType, String> {
    parse_type(text, &ACTIVATION_TYPES)
}

fn parse_type(text: &str, known: &[DType]) -> Result<DType, String> {
    let found = known.iter().find(|dtype| dtype.name() == text).copied();
    let names = || known.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(" and ");
    found.ok_or_else(|| format!("known are {}", names()))
}

impl Default for ShapeArgs {
    fn default() -> Self {
        let LanguageOptions { context, cache, full_windows, slots, activations, .. } = LanguageOptions::default();
        Self {
            shapes: Vec::new(),
            constants: Vec::new(),
            context,
            cache,
            full_windows,
            slots,
            activations,
            quant: Quant::default(),
        }
    }
}

impl ShapeArgs {
    pub fn import_options(&self) -> ImportOptions {
        let shapes = self.shapes.iter().map(|spec| (spec.name.clone(), spec.dims.clone())).collect();
        let constants = self.constants.iter().map(|spec| (spec.name.clone(), spec.value.clone())).collect();
        let language = LanguageOptions {
            context: self.context,
            cache: self.cache,
            full_windows: self.full_windows,
            slots: self.slots,
            activations: self.activations,
            quant: self.quant.0,
        };
        ImportOptions { shapes, constants, language, ..ImportOptions::default() }
    }

    /// The sizes given for an input, when all of them are numbers.
    pub fn sizes(&self, input: &str) -> Result<Option<Vec<usize>>, CliError> {
        let Some(spec) = self.shapes.iter().find(|spec| spec.name == input) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = spec.dims.iter().map(fixed).collect();
        let problem = || CliError::usage(format!("--shape {input}: a run needs sizes, not names or ranges"));
        sizes.ok_or_else(problem).map(Some)
    }
}

fn fixed(dim: &DimSpec) -> Option<usize> {
    match dim {
        DimSpec::Fixed(size) => usize::try_from(*size).ok(),
        DimSpec::AsInFile | DimSpec::Range { .. } | DimSpec::Named { .. } => None,
    }
}

/// How a model is compiled.
#[derive(Clone, Debug, clap::Args)]
pub struct CompileArgs {
    /// What to compile for: NAME, or NAME:SPECIFICATION for some forms of the code; see `lostwax targets`; repeatable. By default
    /// the first of them.
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How far results may differ from the model's order of operations: exact, contract, reassoc or fast.
    #[arg(long, value_name = "TIER", default_value = "reassoc", value_parser = parse_tier)]
    pub fp: Tier,
    /// A rewrite rule or rule group that must not be applied; see `lostwax rules`; repeatable.
    #[arg(long = "disable-rule", value_name = "RULE")]
    pub disabled: Vec<String>,
    /// The most bytes of working memory at typical sizes, such as 64MiB; smaller plans are sought until one fits.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_memory: Option<u64>,
    /// How much is optimized; what each level adds is listed below. By default the highest level.
    #[arg(short = 'O', value_name = "LEVEL")]
    pub level: Option<u8>,
}

fn parse_tier(text: &str) -> Result<Tier, String> {
    text.parse()
}

impl CompileArgs {
    /// The options for the compiler. All names are checked.
    pub fn options(&self, shapes: &ShapeArgs) -> Result<CompileOptions, CliError> {
        let (known, disabled) = (registry().passes.clone(), self.disabled.iter().cloned().collect());
        let passes = Context { registry: known, tier: self.fp, disabled, ..Context::default() };
        passes.check().map_err(CompileError::from)?;
        let import = shapes.import_options();
        let (targets, max_memory, level) = (self.targets.clone(), self.max_memory, self.level);
        let options = CompileOptions { import, passes, targets, max_memory, level, ..CompileOptions::default() };
        options.selections(registry()).map_err(|error| CliError::usage(error.to_string()))?;
        self.level()?;
        Ok(options)
    }

    /// The optimization level.
    pub fn level(&self) -> Result<&'static Level, CliError> {
        Ok(registry().level(self.level.unwrap_or(registry().highest_level()))?)
    }
}

impl Default for CompileArgs {
    fn default() -> Self {
        Self { targets: Vec::new(), fp: Tier::Reassociate, disabled: Vec::new(), max_memory: None, level: None }
    }
}

/// Which device runs.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArgs {
    /// The device, as NAME or NAME:ADAPTER (a number or a part of a name; see `lostwax devices`); the first that the artifact has code
    /// for if none is given.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// A device with all others of the list, for steps that its code leaves to them.
pub fn with_others(device: Arc<dyn api::Device>) -> Device {
    registry().devices().cloned().fold(Device::from(device), Device::with_fallback)
}

impl DeviceArgs {
    pub fn device(&self, model: &Model) -> Result<Device, CliError> {
        let found = registry().device(self.device.as_deref(), model.variants());
        Ok(found.map(with_others).map_err(RuntimeError::from)?)
    }
}
