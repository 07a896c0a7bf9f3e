//! `lostwax passes`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use serde_json::json;

/// Lists the passes that `lostwax opt` can run
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax passes\n  lostwax opt model.onnx --pass canonicalize,fold_constants")]
pub struct Args {}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let mut table = Table::new(&["pass", ""]);
        let mut list = Vec::new();
        for pass in registry().passes.passes() {
            table.row([pass.name.to_string(), pass.doc.to_string()]);
            list.push(json!({ "name": pass.name, "doc": pass.doc }));
        }
        Ok(Report::new(table.to_string(), json!({ "passes": list })))
    }
}
