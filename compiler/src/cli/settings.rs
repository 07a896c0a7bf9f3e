//! Flags that several verbs share.

use super::error::CliError;
use super::format::parse_bytes;
use lostwax::import::{ConstantSpec, DimSpec, ImportOptions, ShapeSpec};
use lostwax::model::CompileOptions;
use lostwax::targets;
use lostwax_passes::{Context, Tier};

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
}

impl ShapeArgs {
    pub fn import_options(&self) -> ImportOptions {
        let shapes = self.shapes.iter().map(|spec| (spec.name.clone(), spec.dims.clone())).collect();
        let constants = self.constants.iter().map(|spec| (spec.name.clone(), spec.value.clone())).collect();
        ImportOptions { shapes, constants, ..ImportOptions::default() }
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
    /// What to compile for: `cpu`, or `cpu:ARCH` with levels such as `cpu:x86_64+x86-64-v3`; see `lostwax targets`; repeatable.
    #[arg(long = "target", value_name = "TARGET", default_value = "cpu")]
    pub targets: Vec<String>,
    /// How far results may differ from the model's order of operations: strict, contract, reassoc or fast.
    #[arg(long, value_name = "TIER", default_value = "reassoc", value_parser = parse_tier)]
    pub fp: Tier,
    /// A rewrite rule or rule group that must not be applied; see `lostwax rules`; repeatable.
    #[arg(long = "disable-rule", value_name = "RULE")]
    pub disabled: Vec<String>,
    /// The most bytes of working memory at typical sizes, such as 64MiB; smaller plans are sought until one fits.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_memory: Option<u64>,
    /// 0 only folds constants and shares equal nodes; 1 to 3 are the whole optimizer.
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub level: u8,
}

fn parse_tier(text: &str) -> Result<Tier, String> {
    text.parse()
}

impl CompileArgs {
    /// The options for the compiler. Targets are checked.
    pub fn options(&self, shapes: &ShapeArgs, listing: bool) -> Result<CompileOptions, CliError> {
        for target in &self.targets {
            targets::select(target).map_err(|error| CliError::usage(error.to_string()))?;
        }
        let passes = Context { tier: self.fp, disabled: self.disabled.iter().cloned().collect(), ..Context::default() };
        let import = shapes.import_options();
        Ok(CompileOptions { import, passes, targets: self.targets.clone(), max_memory: self.max_memory, listing })
    }
}

impl Default for CompileArgs {
    fn default() -> Self {
        Self { targets: vec!["cpu".to_string()], fp: Tier::Reassociate, disabled: Vec::new(), max_memory: None, level: 3 }
    }
}

/// Which device runs, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArgs {
    /// The device.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
}

impl DeviceArgs {
    pub fn device(&self) -> Result<lostwax_runtime::Device, CliError> {
        match self.device.as_str() {
            "cpu" => Ok(lostwax_runtime::Device::cpu()),
            other => Err(CliError::Device(format!("there is no device `{other}`; devices: cpu"))),
        }
    }
}
