//! `lostwax bench`.

mod kernels;
mod language;
mod measure;
mod profile;
mod work;

use crate::console::Console;
use crate::error::CliError;
use crate::format;
use crate::report::Report;
use crate::settings::{CompileArgs, DeviceArgs, ImportArgs};
use crate::source::{self, LoadedModel};
use crate::table::Table;
use crate::tensors::{InputArgs, make_inputs};
use language::LanguageArgs;
use lostwax_runtime::api::Peaks;
use lostwax_runtime::llm::is_decoder;
use measure::{Measured, measure};
use serde_json::{Value, json};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax bench model.lwx --threads 1,2
  lostwax bench model.lwx --shape x:1x3x640x640 --iters 50
  lostwax bench model.onnx --profile --json
  lostwax bench llm.lwx -p 512 -n 128 --threads 1,2";

/// Measures load time, first run, steady state and memory
///
/// A model that is not an artifact is compiled in memory first, for the shapes given. For a language model, tokens per second are
/// measured: for processing a prompt (pp) and for generating tokens (tg), each from an empty KV cache, as mean and standard
/// deviation.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An artifact or a model.
    file: PathBuf,
    /// The numbers of threads to measure with, such as `1,2`; 0 lets the device decide.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    threads: Vec<usize>,
    /// The number of warm-up runs, which are not measured.
    #[arg(long, default_value_t = 3)]
    warmup: usize,
    /// The number of measured runs; by default as many as fit in about two seconds.
    #[arg(long)]
    iters: Option<usize>,
    /// Show each step (for language models, each kernel) with its time and its share of the machine's peak.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    shapes: ImportArgs,
    #[command(flatten)]
    compile: CompileArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let opened = source::open(&self.file, &self.compile, &self.shapes, console)?;
        if is_decoder(&opened.model) {
            console.clear();
            return language::bench(&self.language, &self.device, &self.threads, self.profile, &opened);
        }
        let inputs = make_inputs(&opened.model, &self.inputs, &self.shapes, console)?;
        console.clear();
        let (mut runs, mut text) = (Vec::new(), String::new());
        for threads in &self.threads {
            let mut measured = measure(&self, &opened, &inputs, *threads)?;
            if self.profile {
                text += &profile::profile(&self, &opened.model, &inputs, &mut measured)?;
            }
            runs.push(measured);
        }
        Ok(report(&opened, &runs, &text))
    }
}

fn report(opened: &LoadedModel, runs: &[Measured], profiles: &str) -> Report {
    let mut table = Table::new(&[
        "threads",
        "load ms",
        "first ms",
        "median ms",
        "p90 ms",
        "p99 ms",
        "runs",
        "arena",
        "lower bound",
        "peak RSS",
    ]);
    for run in runs {
        let times = [run.load_ms, run.first_ms, run.median_ms, run.p90_ms, run.p99_ms].map(|time| format!("{time:.3}"));
        let sizes = [run.requirements.arena_bytes, run.requirements.arena_lower_bound_bytes].map(format::bytes);
        let rss = run.peak_rss_bytes.map_or("unknown".to_string(), format::bytes);
        let counts = [run.iters.to_string()];
        let threads = if run.threads == 0 { "device decides".to_string() } else { run.threads.to_string() };
        table.row([threads].into_iter().chain(times).chain(counts).chain(sizes).chain([rss]));
    }
    let variant = runs.first().map_or("", |run| &run.variant);
    let text = format!("{} on {variant}\n{table}{profiles}", opened.model.name());
    Report::new(text, json_report(opened, runs))
}

/// The peaks of the device, as part of a sentence; empty if it cannot measure itself.
fn measured_peaks(peaks: Option<Peaks>) -> String {
    peaks.map_or_else(String::new, |Peaks { flops_per_second, bytes_per_second }| {
        let (flops, bytes) = (flops_per_second / 1e9, bytes_per_second / 1e9);
        format!("; measured: {flops:.1} GFLOP/s of f32 multiply-add, {bytes:.1} GB/s of memory")
    })
}

/// A fraction for a column of percents; a dash where there is none.
fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".to_string(), |fraction| format!("{:.0}", 100.0 * fraction))
}

/// The fields of the first run, and all runs.
fn json_report(opened: &LoadedModel, runs: &[Measured]) -> Value {
    let mut json = runs.first().map_or_else(|| json!({}), Measured::json);
    if let Some(map) = json.as_object_mut() {
        map.insert("model".to_string(), json!(opened.model.name()));
        map.insert("runs".to_string(), runs.iter().map(Measured::json).collect());
    }
    json
}
