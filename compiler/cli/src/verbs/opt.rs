//! `lostwax opt`.

use crate::console::Console;
use crate::error::CliError;
use crate::format::parse_bytes;
use crate::ir_file;
use crate::output::is_standard;
use crate::registry::registry;
use crate::report::Report;
use crate::settings::{ImportArgs, PassArgs};
use crate::source;
use crate::source::stage_name;
use lostwax_compiler::error::CompileError;
use lostwax_compiler::model::{self, CompileOptions};
use lostwax_import::Program;
use lostwax_ir::graph::Graph;
use lostwax_ir::text::print_graph;
use lostwax_passes::{Changed, run_passes};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
A text refers to its large constants by number; they lie beside FILE.ir in FILE.npz.

Examples:
  lostwax opt model.onnx                                  the graph as imported
  lostwax opt model.onnx --pass canonicalize,optimize
  lostwax opt model.onnx -O3 --target gpu                 the graph that kernels are made of
  lostwax opt model.onnx -o model.ir && lostwax opt model.ir --pass fold_constants";

/// Runs passes on a graph, given as IR text or as a model, and prints it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// IR text (`.ir`, `-` for stdin) or a model.
    file: PathBuf,
    /// The passes to run, in order; see `lostwax passes`.
    #[arg(long = "pass", value_name = "PASSES", value_delimiter = ',')]
    passes: Vec<String>,
    /// Run all passes of this level, as `lostwax compile` does: what is printed is the graph that kernels are made of.
    #[arg(short = 'O', value_name = "LEVEL", conflicts_with = "passes")]
    level: Option<u8>,
    /// The maximum working memory, as for `lostwax compile`; needs -O.
    #[arg(long, value_name = "BYTES", requires = "level", value_parser = parse_bytes)]
    max_memory: Option<u64>,
    /// The file to write the text to, instead of stdout.
    #[arg(short, long, value_name = "FILE.ir")]
    output: Option<PathBuf>,
    #[command(flatten)]
    shapes: ImportArgs,
    #[command(flatten)]
    compile: PassArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let options = CompileOptions { max_memory: self.max_memory, ..self.compile.options(&self.shapes)? };
        let imported = source::read_or_import(&self.file, &self.shapes, console)?;
        let (graph, changed) = match self.level {
            Some(_) => optimize(imported, &CompileOptions { level: self.level, ..options }, console)?,
            None => self.run_passes(imported, &options)?,
        };
        let json = json!({ "changed": changed, "nodes": graph.len(), "text": print_graph(&graph).text });
        let text = match self.output.as_deref().filter(|path| !is_standard(path)) {
            Some(path) => {
                ir_file::write(path, &graph)?;
                format!("wrote {}", path.display())
            }
            None => print_graph(&graph).text,
        };
        Ok(Report::new(text, json))
    }

    /// Runs the passes that are named, with the costs of the target.
    fn run_passes(&self, mut graph: Graph, options: &CompileOptions) -> Result<(Graph, bool), CliError> {
        let names: Vec<&str> = self.passes.iter().map(String::as_str).collect();
        let context = model::context(registry(), &graph.clone().into(), options)?;
        let changed = run_passes(&names, &mut graph, &context).map_err(CompileError::from)?;
        Ok((graph, changed == Changed::Yes))
    }
}

/// The graph that kernels are made of, and whether it is another one than before.
fn optimize(graph: Graph, options: &CompileOptions, console: &Console) -> Result<(Graph, bool), CliError> {
    let before = print_graph(&graph).text;
    let entries = model::optimize(registry(), &graph.into(), options, &mut |stage| console.stage(stage_name(stage)))?;
    let graph = Program { entries, ..Program::default() }.into_single()?;
    let changed = print_graph(&graph).text != before;
    Ok((graph, changed))
}
