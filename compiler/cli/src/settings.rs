//! Flags that several verbs share.

use crate::error::CliError;
use crate::format::parse_bytes;
use crate::registry::registry;
use lostwax_compiler::error::CompileError;
use lostwax_compiler::level::Level;
use lostwax_compiler::model::CompileOptions;
use lostwax_import::families::quant_from_name;
use lostwax_import::{ACTIVATION_TYPES, CACHE_TYPES, ConstantSpec, DimSpec, ImportOptions, LanguageOptions, ShapeSpec};
use lostwax_ir::suggest::unknown;
use lostwax_ir::types::DType;
use lostwax_passes::{Context, Tier};
use lostwax_runtime::{Device, Model, RuntimeError, api};
use std::sync::Arc;

/// The heading for flags that apply only to language models.
const MODELS: &str = "Language models";

/// How a model is read.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct ImportArgs {
    /// The shape of an input: sizes (`x:1x3x224x224`), ranges (`x:1..8x3x224x224`) or names, also as multiples
    /// (`x:1x3x32*hx32*w`); repeatable.
    #[arg(long = "shape", value_name = "NAME:DIMS")]
    pub shapes: Vec<ShapeSpec>,
    /// An input to fix as a constant (`sr=16000`, `scales=1,1,2,2`), so that shapes and branches may depend on it; repeatable.
    #[arg(long = "constant", value_name = "NAME=NUMBERS")]
    pub constants: Vec<ConstantSpec>,
    /// The context length of a language model, in tokens; at most what it was trained for.
    #[arg(long, value_name = "TOKENS", help_heading = MODELS, default_value_t = LanguageOptions::default().context)]
    pub context: usize,
    /// The element type of a language model's KV cache: f32, f16, or i8 with one scale per token and head.
    #[arg(long, value_name = "TYPE", help_heading = MODELS, default_value = "f32", value_parser = parse_cache)]
    pub cache: DType,
    /// Keep all tokens in the KV caches of sliding-window layers, so that generation can continue from any earlier position.
    #[arg(long, help_heading = MODELS)]
    pub full_windows: bool,
    /// The number of sequences that a language model decodes as one batch, each with its own KV cache; the slots of `serve`.
    #[arg(long, value_name = "N", help_heading = MODELS, default_value_t = LanguageOptions::default().slots)]
    pub slots: usize,
    /// The type of activations that are multiplied by quantized weights: i8, quantized in blocks like the weights, or f32.
    #[arg(long, value_name = "TYPE", help_heading = MODELS, default_value = "i8", value_parser = parse_activations)]
    pub activations: DType,
    /// The type that matrices of a language model are converted to: keep, f32, f16, bf16, q8_0, q4_0, q4_k ...
    #[arg(long, value_name = "TYPE", help_heading = MODELS, default_value = "keep", value_parser = parse_quant)]
    pub quant: Quant,
}

/// What `--quant` asks for; nothing for `keep`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    found.ok_or_else(|| unknown("type", text, known.iter().map(|dtype| dtype.name())))
}

impl Default for ImportArgs {
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

impl ImportArgs {
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

    /// What is given for the shape of an input.
    pub fn given(&self, input: &str) -> Option<&[DimSpec]> {
        self.shapes.iter().find(|spec| spec.name == input).map(|spec| spec.dims.as_slice())
    }

    /// The sizes given for an input, when all of them are numbers.
    pub fn sizes(&self, input: &str) -> Option<Vec<usize>> {
        self.given(input)?.iter().map(fixed).collect()
    }

    /// Checks that nothing is given that an artifact, which is compiled already, cannot follow.
    pub fn check_for_artifact(&self) -> Result<(), CliError> {
        let Self { shapes, .. } = self;
        match *self == (Self { shapes: shapes.clone(), ..Self::default() }) {
            true => Ok(()),
            false => {
                Err(CliError::usage("flags for importing a model are given, but this is an artifact, which is compiled already"))
            }
        }
    }

    /// Checks that shapes are given only for inputs that exist.
    pub fn check_names<'a>(&self, inputs: impl Iterator<Item = &'a str> + Clone) -> Result<(), CliError> {
        let stranger = self.shapes.iter().find(|spec| inputs.clone().all(|input| input != spec.name));
        stranger.map_or(Ok(()), |spec| Err(CliError::usage(format!("--shape: {}", unknown("input", &spec.name, inputs)))))
    }

    /// Checks that the shape of an input is one of those given.
    pub fn check_shape(&self, input: &str, shape: &[usize]) -> Result<(), CliError> {
        let Some(given) = self.given(input) else { return Ok(()) };
        if given.len() == shape.len() && given.iter().zip(shape).all(|(dim, size)| allows(dim, *size as i64)) {
            return Ok(());
        }
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        let problem = format!("input `{input}` has the shape {shape:?}, which is none of --shape {input}:{}", given.join(","));
        Err(CliError::usage(problem))
    }
}

fn allows(dim: &DimSpec, size: i64) -> bool {
    match dim {
        DimSpec::AsInFile => true,
        DimSpec::Fixed(fixed) => size == *fixed,
        DimSpec::Range { min, max } => (*min..=*max).contains(&size),
        DimSpec::Named { factor, range, .. } => {
            size % factor == 0 && range.is_none_or(|(min, max)| (min..=max).contains(&(size / factor)))
        }
    }
}

fn fixed(dim: &DimSpec) -> Option<usize> {
    match dim {
        DimSpec::Fixed(size) => usize::try_from(*size).ok(),
        DimSpec::AsInFile | DimSpec::Range { .. } | DimSpec::Named { .. } => None,
    }
}

/// What the optimizer knows and may do.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct PassArgs {
    /// The target, such as cpu (see `lostwax targets`), or NAME:SPECIFICATION for particular variants, such as cpu:aarch64,
    /// cpu:x86_64+x86-64-v3 or gpu:vulkan; repeatable. By default the first target.
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How far rewrites may change floating-point results: exact, contract, reassoc or fast.
    #[arg(long, value_name = "TIER", default_value = "reassoc", value_parser = parse_tier)]
    pub fp: Tier,
    /// A rewrite rule or rule group that must not be applied; see `lostwax rules`; repeatable.
    #[arg(long = "disable-rule", value_name = "RULE")]
    pub disabled: Vec<String>,
}

/// How a model is compiled.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct CompileArgs {
    #[command(flatten)]
    pub passes: PassArgs,
    /// The maximum working memory, such as 64MiB; the compiler looks for a plan that fits. Dynamic sizes count as 1 if outermost
    /// in an input and 64 otherwise, clamped to their ranges, as in the report of `compile`.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_memory: Option<u64>,
    #[command(flatten)]
    pub level: LevelArgs,
}

/// How much is optimized.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
pub struct LevelArgs {
    /// How much is optimized; `lostwax compile --help` lists what each level adds. By default the highest level.
    #[arg(short = 'O', value_name = "LEVEL")]
    number: Option<u8>,
}

fn parse_tier(text: &str) -> Result<Tier, String> {
    text.parse()
}

impl CompileArgs {
    /// Checks that nothing is given, since an artifact is compiled already.
    pub fn check_for_artifact(&self) -> Result<(), CliError> {
        match *self == Self::default() {
            true => Ok(()),
            false => Err(CliError::usage("flags for compiling are given, but this is an artifact, which is compiled already")),
        }
    }

    /// The options for the compiler. Names are checked.
    pub fn options(&self, shapes: &ImportArgs) -> Result<CompileOptions, CliError> {
        let options = self.passes.options(shapes)?;
        Ok(CompileOptions { max_memory: self.max_memory, level: self.level.number()?, ..options })
    }
}

impl PassArgs {
    /// The options for the compiler, without a limit and with all optimizations. Names are checked.
    pub fn options(&self, shapes: &ImportArgs) -> Result<CompileOptions, CliError> {
        let (known, disabled) = (registry().passes.clone(), self.disabled.iter().cloned().collect());
        let passes = Context { registry: known, tier: self.fp, disabled, ..Context::default() };
        passes.check().map_err(CompileError::from)?;
        let (import, targets) = (shapes.import_options(), self.targets.clone());
        let options = CompileOptions { import, passes, targets, ..CompileOptions::default() };
        options.selections(registry()).map_err(|error| CliError::usage(error.to_string()))?;
        Ok(options)
    }
}

impl LevelArgs {
    /// The number of the level that is asked for, if one is.
    ///
    /// # Errors
    /// There is no such level.
    pub fn number(self) -> Result<Option<u8>, CliError> {
        self.number.map_or(Ok(()), |number| registry().level(number).map(drop))?;
        Ok(self.number)
    }

    /// The optimization level.
    pub fn level(self) -> Result<&'static Level, CliError> {
        Ok(registry().level(self.number.unwrap_or(registry().highest_level()))?)
    }
}

impl Default for PassArgs {
    fn default() -> Self {
        Self { targets: Vec::new(), fp: Tier::Reassociate, disabled: Vec::new() }
    }
}

/// Which device runs.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArgs {
    /// The device, as NAME or NAME:ADAPTER, where ADAPTER is a number or part of a name (see `lostwax devices`); by default the
    /// first one that the artifact has code for.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// A device with all others of the list, for steps that its code leaves to them.
pub fn with_fallbacks(device: Arc<dyn api::Device>) -> Device {
    registry().devices().cloned().fold(Device::from(device), Device::with_fallback)
}

impl DeviceArgs {
    pub fn device(&self, model: &Model) -> Result<Device, CliError> {
        let found = registry().device(self.device.as_deref(), model.variants());
        Ok(found.map(with_fallbacks).map_err(RuntimeError::from)?)
    }
}
