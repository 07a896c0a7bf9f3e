//! `lostwax run`.

mod values;

use crate::console::Console;
use crate::error::CliError;
use crate::format::parse_bytes;
use crate::output::{check_stdout, is_standard};
use crate::registry::registry;
use crate::report::Report;
use crate::settings::{CompileArgs, DeviceArgs, ImportArgs};
use crate::source;
use crate::tensors::{InputArgs, check_outputs, make_inputs, views, write_outputs};
use lostwax_runtime::{Model, Options, Outputs, Session, TensorInfo, TensorView};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use values::{MOST_AS_JSON, MOST_AS_TEXT, Values};

const EXAMPLES: &str = "\
Examples:
  lostwax run model.lwx -i x=@input.npy -o out.npz
  lostwax run model.onnx -i images=@photo.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  lostwax run model.lwx -i ids=1x8xi64=0..1000 --seed 7 --threads 2";

/// Runs a model once
///
/// A model that is not an artifact is compiled in memory first. Images become f32 values in 0..1, in RGB order. An image keeps
/// its size if the model allows it, else the nearest allowed size; if the model or --shape fixes the size, it is scaled.
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
    /// The maximum number of values to show per output; by default 6, or 65536 with --json, where `complete` says whether all are
    /// included.
    #[arg(long, value_name = "N")]
    values: Option<usize>,
    /// The number of threads; 0 lets the device decide, which takes all cores of a CPU.
    #[arg(short, long, default_value_t = 0)]
    threads: usize,
    /// The limit for working memory and outputs, such as 64MiB; a run that needs more is refused.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_memory: Option<u64>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    shapes: ImportArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        self.output.as_ref().map_or(Ok(()), |path| check_stdout(path, console))?;
        let model = source::open(&self.file, &CompileArgs::default(), &self.shapes, console)?.model;
        self.output.as_ref().map_or(Ok(()), |path| check_outputs(path, &outputs(&model)))?;
        let inputs = make_inputs(&model, &self.inputs, &self.shapes, console)?;
        let device = self.device.device(&model)?;
        let options = Options { max_memory: self.max_memory, ..Options::new().with_threads(self.threads) };
        if self.device.device.is_none() && Some(device.name()) != registry().devices().next().map(|device| device.name()) {
            console.note(&format!("running on the {} device, the only one that the artifact has code for", device.name()));
        }
        let mut session = model.session_with(device, options)?;
        let outputs = run(&mut session, &views(&inputs), console)?;
        if let Some(path) = &self.output {
            write_outputs(path, &outputs)?;
        }
        Ok(self.report(&outputs).with_text_to_stderr(self.output.as_deref().is_some_and(is_standard)))
    }

    fn report(&self, outputs: &Outputs) -> Report {
        let (mut text, mut map) = (String::new(), Map::new());
        for (name, tensor) in outputs.iter() {
            let values = Values::new(&tensor.as_view());
            let shown = values.text(self.values.unwrap_or(MOST_AS_TEXT));
            let _ = writeln!(text, "{name}: {:?} {shown}", tensor.as_view());
            let (values, complete) = values.json(self.values.unwrap_or(MOST_AS_JSON));
            let tensor =
                json!({ "dtype": tensor.dtype().name(), "shape": tensor.shape(), "values": values, "complete": complete });
            map.insert(name.to_string(), tensor);
        }
        Report::new(text, json!({ "outputs": Value::Object(map) }))
    }
}

/// The outputs of the entry point that runs.
fn outputs(model: &Model) -> Vec<TensorInfo> {
    model.entry_points().into_iter().next().map(|entry| entry.outputs).unwrap_or_default()
}

/// Runs a session, and shows how far it is where progress is shown.
fn run(session: &mut Session, inputs: &[(&str, TensorView<'_>)], console: &Console) -> Result<Outputs, CliError> {
    console.stage("running");
    if console.shows_progress() {
        return Ok(session.run_with_progress(inputs, &mut |done, total| console.progress("running", done, total))?);
    }
    Ok(session.run(inputs.iter().copied())?)
}
