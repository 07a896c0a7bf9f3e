//! `lostwax targets`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_target_api::Target;
use serde_json::json;

/// Lists the targets with the variants that are compiled by default
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax targets\n  lostwax compile model.onnx -o model.lwx --target cpu:aarch64")]
pub struct Args {}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let mut table = Table::new(&["target", "variants on this machine", ""]);
        let mut list = Vec::new();
        for target in registry().targets() {
            let variants = variants(&**target);
            list.push(json!({ "name": target.name(), "doc": target.doc(), "variants": variants }));
            table.row([target.name().to_string(), variants.join(", "), target.doc().to_string()]);
        }
        Ok(Report::new(table.to_string(), json!({ "targets": list })))
    }
}

fn variants(target: &dyn Target) -> Vec<String> {
    let variants = target.variants("").unwrap_or_default();
    variants.iter().map(|variant| format!("{} {}", variant.info.arch, variant.info.name)).collect()
}
