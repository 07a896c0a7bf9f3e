//! Files on the command line: artifacts, or models that are compiled first.

use crate::console::Console;
use crate::error::CliError;
use crate::input;
use crate::registry::registry;
use crate::settings::{CompileArgs, ShapeArgs};
use lostwax_compiler::model::{self, CompileOptions};
use lostwax_compiler::pipeline::{Compiled, Stage};
use lostwax_import::is_language_model;
use lostwax_import::program::Program;
use lostwax_ir::graph::Graph;
use lostwax_runtime::{AlignedBuffer, Model};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A model that is ready to run.
pub struct Opened {
    pub model: Model,
    /// Opening the file and checking it; without compiling.
    pub load: Duration,
}

/// Whether the file is an artifact: by its name, or by the start of a safetensors header.
pub fn is_artifact(path: &Path) -> Result<bool, CliError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => return Ok(false),
        _ if is_language_model(path) => return Ok(false),
        Some("lwx") => return Ok(true),
        Some(_) | None => {}
    }
    let mut start = Vec::new();
    let file = input::open(path)?;
    file.take(9).read_to_end(&mut start).map_err(CliError::io(path))?;
    Ok(start.get(8) == Some(&b'{'))
}

/// Opens an artifact, or compiles a model in memory and says so.
pub fn open(path: &Path, compile: &CompileArgs, shapes: &ShapeArgs, console: &Console) -> Result<Opened, CliError> {
    if is_artifact(path)? {
        let start = Instant::now();
        let model = open_artifact(path)?;
        return Ok(Opened { model, load: start.elapsed() });
    }
    console.note(&format!("{} is a model: compiling it in memory first", path.display()));
    let program = import(path, shapes, console)?;
    let mut buffer = AlignedBuffer::with_capacity(program.constant_bytes() / 16 * 17);
    compile_program(&program, &compile.options(shapes)?, console, &mut buffer)?;
    let start = Instant::now();
    let model = Model::from_bytes(buffer)?;
    Ok(Opened { model, load: start.elapsed() })
}

/// Opens an artifact; that it is not there is the caller's mistake and not the artifact's.
pub fn open_artifact(path: &Path) -> Result<Model, CliError> {
    input::open(path)?;
    Ok(Model::open(path)?)
}

/// Reads a model.
pub fn import(path: &Path, shapes: &ShapeArgs, console: &Console) -> Result<Program, CliError> {
    console.stage("importing");
    Ok(registry().import.load(path, &shapes.import_options())?)
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

/// The graph as it is when kernels are made from it.
pub fn optimize(graph: &Graph, options: &CompileOptions) -> Result<Graph, CliError> {
    let mut graph = graph.clone();
    registry().level(options.level.unwrap_or(registry().highest_level()))?.run(&mut graph, &options.passes)?;
    Ok(graph)
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
