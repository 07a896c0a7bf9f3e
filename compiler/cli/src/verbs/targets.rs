//! `lostwax targets`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_target_api::Variant;
use serde_json::{Value, json};

/// Lists the targets with the variants that are compiled by default
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax targets\n  lostwax compile model.onnx -o model.lwx --target cpu:aarch64")]
pub struct Args {}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let mut table = Table::new(&["target", "variants on this machine", ""]);
        let mut list = Vec::new();
        for target in registry().targets() {
            let variants = target.variants("").unwrap_or_default();
            let names: Vec<String> = variants.iter().map(|Variant { info, .. }| format!("{} {}", info.arch, info.name)).collect();
            let variants: Vec<Value> = variants.iter().map(variant_json).collect();
            list.push(json!({ "name": target.name(), "doc": target.doc(), "variants": variants }));
            table.row([target.name().to_string(), names.join(", "), target.doc().to_string()]);
        }
        Ok(Report::new(table.to_string(), json!({ "targets": list })))
    }
}

/// What a variant needs and has.
fn variant_json(variant: &Variant) -> Value {
    let Variant { info, caps, only_for } = variant;
    json!({
        "name": info.name,
        "arch": info.arch,
        "os": info.os,
        "abi": info.abi,
        "features": info.features,
        "vector_bytes": caps.vector_bytes,
        "vector_registers": caps.vector_registers,
        "instructions": caps.instructions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "only_for": only_for.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
