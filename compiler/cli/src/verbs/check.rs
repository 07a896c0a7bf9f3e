//! `lostwax check`.

mod language;

use crate::console::Console;
use crate::error::{self, CliError};
use crate::registry::registry;
use crate::report::Report;
use crate::settings::ImportArgs;
use crate::table::Table;
use lostwax_import::file_kind;
use lostwax_import::{CheckReport, FileKind, ImportError, Status, TensorReport};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax check model.onnx
  lostwax check llm.gguf
  lostwax check model-folder/
  lostwax check model.onnx --shape x:1x3x32*hx32*w --json";

/// Checks whether a model can be compiled: lists all operators and all problems at once
///
/// For an ONNX model, lists operators, inputs, outputs and dynamic sizes; for a GGUF file or Hugging Face folder, the
/// architecture, weight types and entry points.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The model.
    model: PathBuf,
    #[command(flatten)]
    shapes: ImportArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        console.stage("importing");
        let (options, importer) = (self.shapes.import_options(), &registry().import);
        let (report, is_supported) = match file_kind(&self.model)? {
            FileKind::Onnx => {
                let checked = importer.check(&self.model, &options)?;
                (Report::new(text(&checked), to_json(&checked)), checked.is_supported())
            }
            FileKind::Gguf | FileKind::Folder => {
                let checked = importer.check_language(&self.model, &options.language)?;
                (language::report(&checked), checked.problem.is_none())
            }
            kind => return Err(ImportError::not_a_model(&self.model, kind).into()),
        };
        Ok(report.with_exit_code(if is_supported { 0 } else { error::UNSUPPORTED_MODEL }))
    }
}

fn text(report: &CheckReport) -> String {
    let mut table = Table::new(&["operator", "count", "status", ""]);
    for op in &report.ops {
        table.row([op.full_name(), op.count.to_string(), op.status.name().to_string(), op.hint.clone()]);
    }
    let mut text = table.to_string();
    let mut tensors = |title: &str, tensors: &[TensorReport]| {
        tensors.iter().for_each(|tensor| {
            let _ = writeln!(text, "{title:10} {}: {}[{}]", tensor.name, tensor.dtype, tensor.dims.join(", "));
        });
    };
    tensors("input", &report.inputs);
    tensors("output", &report.outputs);
    for symbol in &report.symbols {
        let max = symbol.max.map_or(String::new(), |max| format!("={max}"));
        let _ = writeln!(text, "dimension  {} in {}..{max}", symbol.name, symbol.min);
    }
    for constraint in &report.constraints {
        let _ = writeln!(text, "checked at run time: {constraint}");
    }
    text + &verdict(report)
}

fn verdict(report: &CheckReport) -> String {
    let mut text = match report.is_supported() {
        true => "\nsupported\n".to_string(),
        false => "\nNOT supported\n".to_string(),
    };
    for op in report.problems() {
        let _ = writeln!(text, "  {}: {}", op.full_name(), op.nodes.join(", "));
    }
    text
}

/// The fields that programs may count on.
pub fn to_json(report: &CheckReport) -> Value {
    let tensors = |tensors: &[TensorReport]| -> Value {
        tensors.iter().map(|tensor| json!({ "name": tensor.name, "dtype": tensor.dtype, "dims": tensor.dims })).collect()
    };
    let ops = report.ops.iter().map(|op| {
        json!({
            "op": op.name,
            "domain": op.domain,
            "count": op.count,
            "status": op.status.name(),
            "nodes": op.nodes,
            "hint": op.hint,
        })
    });
    let symbols = report.symbols.iter().map(|symbol| json!({ "name": symbol.name, "min": symbol.min, "max": symbol.max }));
    json!({
        "format": "onnx",
        "supported": report.is_supported(),
        "unsupported_ops": report.ops.iter().filter(|op| op.status == Status::Unsupported).count(),
        "ops": ops.collect::<Vec<_>>(),
        "inputs": tensors(&report.inputs),
        "outputs": tensors(&report.outputs),
        "symbols": symbols.collect::<Vec<_>>(),
        "dtypes": report.dtypes,
        "constraints": report.constraints,
    })
}
