//! `lostwax passes`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_compiler::error::CompileError;
use lostwax_passes::Pass;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  lostwax passes
  lostwax passes optimize
  lostwax opt model.onnx --pass canonicalize,fold_constants";

/// Lists the passes that `lostwax opt` can run
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show details of this pass.
    name: Option<String>,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        match &self.name {
            Some(name) => Ok(page(registry().passes.pass(name).map_err(CompileError::from)?)),
            None => Ok(list()),
        }
    }
}

fn list() -> Report {
    let mut table = Table::new(&["pass", "levels", ""]);
    for pass in registry().passes.passes() {
        table.row([pass.name.to_string(), levels(pass).join(" "), pass.doc.to_string()]);
    }
    Report::new(table.to_string(), json!({ "passes": registry().passes.passes().iter().map(to_json).collect::<Vec<_>>() }))
}

fn page(pass: &Pass) -> Report {
    let text = format!("pass    {}\nlevels  {}\n\n{}\n", pass.name, levels(pass).join(" "), pass.doc);
    Report::new(text, json!({ "passes": [to_json(pass)] }))
}

/// The optimization levels that run a pass.
fn levels(pass: &Pass) -> Vec<String> {
    let runs = registry().levels.iter().enumerate().filter(|(_, level)| level.passes.contains(&pass.name));
    runs.map(|(number, _)| format!("-O{number}")).collect()
}

fn to_json(pass: &Pass) -> Value {
    json!({ "name": pass.name, "levels": levels(pass), "doc": pass.doc })
}
