//! `lostwax run`.

use crate::console::Console;
use crate::error::CliError;
use crate::format::parse_bytes;
use crate::registry::registry;
use crate::output::{check_stdout, is_standard};
use crate::report::Report;
use crate::settings::{CompileArgs, DeviceArgs, ShapeArgs};
use crate::source;
use crate::tensors::{InputArgs, make_inputs, views, write_outputs};
use lostwax_runtime::{Options, Outputs, TensorView};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax run model.lwx -i x=@input.npy -o out.npz
  lostwax run model.onnx -i images=@photo.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  lostwax run model.lwx -i ids=1x8xi64=0..1000 --seed 7 --threads 2";

/// Runs a model once
///
/// A model that is not an artifact is compiled in memory first. Pictures are scaled to the size of the input and become
/// f32 values in 0..1, red first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An artifact or a model.
    file: PathBuf,
    #[command(flatten)]
    inputs: InputArgs,
    /// Where outputs go: `.npz`, or `.npy` if there is one; `-` writes `.npz` to stdout and the result to stderr.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The number of threads; 0 lets the device decide.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The most bytes that working memory and outputs may take, such as 64MiB; a run that needs more is refused.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_memory: Option<u64>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    shapes: ShapeArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        self.output.as_ref().map_or(Ok(()), |path| check_stdout(path, console))?;
        let model = source::open(&self.file, &CompileArgs::default(), &self.shapes, console)?.model;
        let inputs = make_inputs(&model, &self.inputs, &self.shapes, console)?;
        console.stage("running");
        let device = self.device.device(&model)?;
        let options = Options { max_memory: self.max_memory, ..Options::new().with_threads(self.threads) };
        if self.device.device.is_none() && Some(device.name()) != registry().devices().next().map(|device| device.name()) {
            console.note(&format!("running on the {} device, the only one that the artifact has code for", device.name()));
        }
        let mut session = model.session_with(device, options)?;
        let outputs = session.run(views(&inputs))?;
        if let Some(path) = &self.output {
            write_outputs(path, &outputs)?;
        }
        Ok(report(&outputs).beside_output(self.output.as_deref().is_some_and(is_standard)))
    }
}

fn report(outputs: &Outputs) -> Report {
    let (mut text, mut map) = (String::new(), Map::new());
    for (name, tensor) in outputs.iter() {
        let _ = writeln!(text, "{name}: {:?} {}", tensor.as_view(), summary(&tensor.as_view()));
        map.insert(name.to_string(), json!({ "dtype": tensor.dtype().name(), "shape": tensor.shape() }));
    }
    Report::new(text, json!({ "outputs": Value::Object(map) }))
}

/// The first values.
fn summary(tensor: &TensorView<'_>) -> String {
    const SHOWN: usize = 6;
    let shown = |values: Vec<String>, count: usize| {
        let dots = if count > SHOWN { ", ..." } else { "" };
        format!("[{}{dots}]", values.join(", "))
    };
    if let Ok(values) = tensor.view::<f32>() {
        return shown(values.iter().take(SHOWN).map(|value| format!("{value:.6}")).collect(), values.len());
    }
    if let Ok(values) = tensor.view::<i64>() {
        return shown(values.iter().take(SHOWN).map(ToString::to_string).collect(), values.len());
    }
    String::new()
}
