//! `lostwax compile`.

mod dump;
mod emit;
mod summary;

use super::inspect::Memory;
use crate::certify::certify;
use crate::console::Console;
use crate::error::CliError;
use crate::format::{self, parse_bytes};
use crate::output::{OutputFile, check_stdout, is_standard};
use crate::registry::registry;
use crate::report::Report;
use crate::settings::{CompileArgs, ImportArgs};
use crate::source;
use emit::Kind;
use lostwax_compiler::error::CompileError;
use lostwax_compiler::level::Level;
use lostwax_compiler::model::CompileOptions;
use lostwax_format::{HashingWriter, hash};
use lostwax_runtime::Model;
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  lostwax compile model.onnx -o model.lwx
  lostwax compile det.onnx -o det.lwx --shape x:1x3x32*hx32*w
  lostwax compile model.onnx -o model.lwx --target cpu:x86_64 --target cpu:aarch64 --max-memory 16MiB
  lostwax compile model.onnx -o model.lwx --target cpu --target gpu:vulkan
  lostwax compile model.onnx -o model.lwx --strict --max-size 10MiB
  lostwax compile model.onnx -o model.lwx --emit object,header
  lostwax compile model.onnx -o model.lwx --certify --dump-ir dump/";

/// What follows the flags: levels, files, examples.
static HELP: LazyLock<String> = LazyLock::new(|| {
    let levels: String =
        registry().levels.iter().enumerate().map(|(level, Level { doc, .. })| format!("  -O{level}  {doc}\n")).collect();
    format!("Levels:\n{levels}\n{EMIT}\n\n{EXAMPLES}")
});

const EMIT: &str = "\
Files that --emit writes next to model.lwx, for each variant of the code:
  object  model.VARIANT.o        relocatable, position-independent, needs no other symbol; for each kernel the function
                                 lostwax_VARIANT_KERNEL(buffers, symbols, first, end)
  header  model.VARIANT.h        their C declarations; says how to call them, and what buffers and symbols each takes
  asm     model.VARIANT.s        the code as text, in all languages that the target writes
  ir      model.VARIANT.kernels  the kernels as text";

/// Compiles a model into an artifact
///
/// The same model and flags give the same bytes. The report at the end shows what the artifact contains and needs.
#[derive(clap::Args)]
#[command(after_help = HELP.as_str())]
pub struct Args {
    /// The model.
    model: PathBuf,
    /// The artifact; `-` writes it to stdout and the report to stderr.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    shapes: ImportArgs,
    #[command(flatten)]
    compile: CompileArgs,
    /// Write the graph before and after the passes, the kernels, and the code as text into this folder.
    #[arg(long, value_name = "DIR")]
    dump_ir: Option<PathBuf>,
    /// Compare with the reference interpreter at small sizes and store the result in the artifact, for `lostwax verify`.
    #[arg(long)]
    certify: bool,
    /// Refuse a model if any part of it would run slower than possible: a kernel without a good schedule, a kernel that its
    /// target cannot emit, so that another device runs it, or code for a lower instruction-set level than this machine has.
    /// Without this flag the report warns about it.
    #[arg(long)]
    strict: bool,
    /// The maximum size of the artifact, such as 10MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_size: Option<u64>,
    /// Files to write next to the artifact, see below; separated by commas.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    emit: Vec<Kind>,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let start = Instant::now();
        let options = self.options()?;
        self.check_stdout(console)?;
        let program = source::import(&self.model, &self.shapes, console)?;
        let import = start.elapsed();
        let mut output = OutputFile::create(&self.output)?;
        let mut hasher = HashingWriter::new(&mut output);
        let compiled = source::compile_program(&program, &options, console, &mut hasher);
        let mut sha256 = hasher.take();
        let compiled = compiled.map_err(|error| output.explain(error))?;
        if let Some(folder) = &self.dump_ir {
            dump::dump(folder, &program, &compiled)?;
        }
        let mut model = output.open_model()?;
        if self.certify {
            console.stage("comparing with the reference interpreter");
            model = certify(&model, &program, console)?;
            output = OutputFile::create(&self.output)?;
            output.write_all(model.file_bytes()).map_err(CliError::io(&self.output))?;
            sha256 = hash(model.file_bytes());
        }
        self.check_size(&model)?;
        output.finish()?;
        let emitted = emit::write(&self.output.with_extension(""), &self.emit, &compiled)?;
        let memory = Memory::new(&model, &self.shapes)?;
        let summary =
            Summary { args: &self, program: &program, compiled: &compiled, model: &model, memory, import, emitted, sha256 };
        Ok(summary.report(start.elapsed()).with_text_to_stderr(is_standard(&self.output)))
    }

    fn check_stdout(&self, console: &Console) -> Result<(), CliError> {
        if is_standard(&self.output) && !self.emit.is_empty() {
            return Err(CliError::usage("--emit names its files after the artifact; give a file with -o"));
        }
        check_stdout(&self.output, console)
    }

    fn options(&self) -> Result<CompileOptions, CliError> {
        let dumped = if self.dump_ir.is_some() { dump::KINDS } else { &[] };
        let outputs = emit::outputs(&[self.emit.as_slice(), dumped].concat());
        Ok(CompileOptions { strict: self.strict, outputs, ..self.compile.options(&self.shapes)? })
    }

    fn check_size(&self, model: &Model) -> Result<(), CliError> {
        let bytes = model.file_bytes().len() as u64;
        let Some(allowed) = self.max_size.filter(|allowed| bytes > *allowed) else { return Ok(()) };
        let artifact = model.artifact();
        let codes = (0..model.variants().len()).filter_map(|position| artifact.code(position));
        let code: u64 = codes.map(|range| range.len() as u64).sum();
        let parts = format!("{} of weights, {} of code", format::bytes(artifact.weights().len() as u64), format::bytes(code));
        Err(CompileError::SizeLimit { bytes, parts, allowed }.into())
    }
}
