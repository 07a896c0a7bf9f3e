//! Files on the command line: artifacts, or models that are compiled first.

use crate::console::Console;
use crate::error::CliError;
use crate::ir_file;
use crate::registry::registry;
use crate::settings::{CompileArgs, ImportArgs};
use lostwax_compiler::model::{self, CompileOptions};
use lostwax_compiler::pipeline::{Compiled, Stage};
use lostwax_import::program::Program;
use lostwax_import::{FileKind, ImportError, ImportOptions, file_kind};
use lostwax_ir::graph::Graph;
use lostwax_runtime::{AlignedBuffer, MappedFile, Model};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// A model that is ready to run.
pub struct LoadedModel {
    pub model: Model,
    /// Opening the file and checking it; without compiling.
    pub load: Duration,
}

/// Whether the file is an artifact and not a model, by its contents; the name `.lwx` decides for contents that are not known.
///
/// # Errors
/// [`ImportError::NotAModel`] for a file that is neither.
pub fn is_artifact(path: &Path) -> Result<bool, CliError> {
    let is_named = path.extension().is_some_and(|extension| extension == "lwx");
    match file_kind(path)? {
        FileKind::Safetensors if is_named || holds_plan(path)? => Ok(true),
        FileKind::Unknown | FileKind::Other(_) if is_named => Ok(true),
        FileKind::Onnx | FileKind::Gguf | FileKind::Folder | FileKind::GraphText => Ok(false),
        kind => Err(ImportError::not_a_model(path, kind).into()),
    }
}

/// Whether a safetensors file has the sections of an artifact.
fn holds_plan(path: &Path) -> Result<bool, CliError> {
    let bytes = MappedFile::open(path).map_err(CliError::io(path))?;
    let bytes = bytes.as_ref();
    let length = bytes.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length));
    let header = usize::try_from(length).ok().and_then(|length| bytes.get(8..)?.get(..length)).unwrap_or_default();
    Ok(header.windows(SECTION.len()).any(|window| window == SECTION))
}

/// What the names of an artifact's own sections start with.
const SECTION: &[u8] = b"__lostwax__/";

/// Opens an artifact, or compiles a model in memory and says so.
pub fn open(path: &Path, compile: &CompileArgs, shapes: &ImportArgs, console: &Console) -> Result<LoadedModel, CliError> {
    if is_artifact(path)? {
        compile.check_for_artifact()?;
        shapes.check_for_artifact()?;
        let start = Instant::now();
        let model = open_artifact(path)?;
        return Ok(LoadedModel { model, load: start.elapsed() });
    }
    console.note(&format!("{} is {}: compiling it in memory first", path.display(), file_kind(path)?.description()));
    let program = match file_kind(path)? {
        FileKind::GraphText => import(path, &ImportArgs { shapes: Vec::new(), ..shapes.clone() }, console)?,
        _ => import(path, shapes, console)?,
    };
    let mut buffer = AlignedBuffer::with_capacity(program.constant_bytes() / 16 * 17);
    compile_program(&program, &compile.options(shapes)?, console, &mut buffer)?;
    let start = Instant::now();
    let model = Model::from_bytes(buffer)?;
    Ok(LoadedModel { model, load: start.elapsed() })
}

/// Opens an artifact; that it is not there, or something else, is the caller's mistake and not the artifact's.
pub fn open_artifact(path: &Path) -> Result<Model, CliError> {
    if !is_artifact(path)? {
        let what = file_kind(path)?.description();
        let way_out = format!("{} is {what}, not an artifact; `lostwax compile` makes one", path.display());
        return Err(CliError::usage(way_out));
    }
    Ok(Model::open(path)?)
}

/// Reads a model: one that can be imported, or a graph as text.
pub fn import(path: &Path, shapes: &ImportArgs, console: &Console) -> Result<Program, CliError> {
    console.stage("importing");
    if file_kind(path)? == FileKind::GraphText {
        ir_file::check_shapes(path, shapes)?;
    }
    load(path, &shapes.import_options())
}

/// The same with all that the importer can be told; a graph as text has its own shapes.
pub fn load(path: &Path, options: &ImportOptions) -> Result<Program, CliError> {
    match file_kind(path)? {
        FileKind::GraphText => Ok(ir_file::read(path)?.into()),
        _ => Ok(registry().import.load(path, options)?),
    }
}

/// Compiles a model and shows the stages.
pub fn compile_program(
    program: &Program,
    options: &CompileOptions,
    console: &Console,
    out: &mut dyn Write,
) -> Result<Compiled, CliError> {
    Ok(model::compile(registry(), program, options, &mut |stage| console.stage(stage_name(stage)), out)?)
}

/// The stage for people.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Optimize => "optimize",
        Stage::Schedule => "schedule",
        Stage::Emit => "emit",
        Stage::Write => "write",
    }
}

/// Reads a graph as text, from stdin if the name is `-`, or imports a model.
pub fn read_or_import(path: &Path, shapes: &ImportArgs, console: &Console) -> Result<Graph, CliError> {
    match path.as_os_str() == "-" {
        true => ir_file::read(path),
        false => Ok(import(path, shapes, console)?.into_single()?),
    }
}
