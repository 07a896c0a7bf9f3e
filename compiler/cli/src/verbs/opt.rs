//! `lostwax opt`.

use crate::console::Console;
use crate::error::CliError;
use crate::ir_file;
use crate::output::is_standard;
use crate::report::Report;
use crate::settings::{CompileArgs, ShapeArgs};
use lostwax_compiler::error::CompileError;
use lostwax_ir::text::print_graph;
use lostwax_passes::{Changed, run_passes};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
A text refers to its large constants by number; they lie beside FILE.ir in FILE.npz.

Examples:
  lostwax opt model.onnx                                  the graph as imported
  lostwax opt model.onnx --pass canonicalize,optimize
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
    /// Where the text goes instead of stdout.
    #[arg(short, long, value_name = "FILE.ir")]
    output: Option<PathBuf>,
    #[command(flatten)]
    shapes: ShapeArgs,
    #[command(flatten)]
    compile: CompileArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let mut graph = ir_file::read_or_import(&self.file, &self.shapes, console)?;
        let names: Vec<&str> = self.passes.iter().map(String::as_str).collect();
        let context = self.compile.options(&self.shapes)?.passes;
        let changed = run_passes(&names, &mut graph, &context).map_err(CompileError::from)?;
        let json = json!({ "changed": changed == Changed::Yes, "nodes": graph.len(), "text": print_graph(&graph).text });
        let text = match self.output.filter(|path| !is_standard(path)) {
            Some(path) => {
                ir_file::write(&path, &graph)?;
                format!("wrote {}", path.display())
            }
            None => print_graph(&graph).text,
        };
        Ok(Report::new(text, json))
    }
}
