//! `lostwax compile`.

mod dump;
mod summary;

use super::certify::certify;
use super::console::Console;
use super::error::CliError;
use super::inspect::Memory;
use super::report::Report;
use super::settings::{CompileArgs, ShapeArgs};
use super::source;
use lostwax_runtime::{AlignedBuffer, Model};
use std::path::{Path, PathBuf};
use std::time::Instant;
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  lostwax compile model.onnx -o model.lwx
  lostwax compile det.onnx -o det.lwx --shape x:1x3x32*hx32*w
  lostwax compile model.onnx -o model.lwx --target cpu:x86_64 --target cpu:aarch64 --max-memory 16MiB
  lostwax compile model.onnx -o model.lwx --certify --dump-ir dump/";

/// Compiles a model into an artifact
///
/// The same model and flags give the same bytes. The closing report tells what the artifact holds and needs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The model.
    model: PathBuf,
    /// The artifact.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    shapes: ShapeArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// Write the graph before and after the passes, the kernels, and the code as text into this folder.
    #[arg(long, value_name = "DIR")]
    dump_ir: Option<PathBuf>,
    /// Compare with the reference interpreter at small sizes and store the result in the artifact, for `lostwax verify`.
    #[arg(long)]
    certify: bool,
    /// Fail instead of leaving a part of the model to another device. One device runs everything today, so nothing is left.
    #[arg(long)]
    strict: bool,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let start = Instant::now();
        let options = self.compile.options(&self.shapes, self.dump_ir.is_some())?;
        let graph = source::import(&self.model, &self.shapes, console)?;
        let import = start.elapsed();
        let mut buffer = AlignedBuffer::new();
        let compiled = source::compile_graph(&graph, self.compile.level, &options, console, &mut buffer)?;
        if let Some(folder) = &self.dump_ir {
            dump::dump(folder, &graph, &compiled, &self.compile, &options)?;
        }
        let mut model = Model::from_bytes(buffer)?;
        if self.certify {
            console.stage("comparing with the reference interpreter");
            model = certify(&model, &graph)?;
        }
        write(&self.output, model.file_bytes())?;
        let memory = Memory::new(&model, &self.shapes)?;
        let summary = Summary { args: &self, graph: &graph, compiled: &compiled, model: &model, memory, import };
        Ok(summary.report(start.elapsed()))
    }
}

/// Writes beside the file and renames, so that nobody sees half of it and readers of an older one are not disturbed.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    std::fs::write(&part, bytes).map_err(CliError::io(&part))?;
    std::fs::rename(&part, path).map_err(CliError::io(path))
}
