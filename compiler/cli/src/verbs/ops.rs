//! `lostwax ops`.

use crate::registry::registry;
use crate::console::Console;
use crate::error::CliError;
use crate::report::Report;
use crate::table::Table;
use lostwax_ir::ops::{Op, OpDef, Operands};
use serde_json::json;

/// Lists the tensor operations, or the ONNX operators that can be imported
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax ops\n  lostwax ops --onnx")]
pub struct Args {
    /// List ONNX operators.
    #[arg(long)]
    onnx: bool,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        Ok(if self.onnx { operators() } else { ops() })
    }
}

fn ops() -> Report {
    let mut table = Table::new(&["op", "operands", "class", ""]);
    let mut list = Vec::new();
    for def in Op::ALL.iter().map(|op| op.def()) {
        let attrs: Vec<&str> = def.attrs.iter().map(|attr| attr.name).collect();
        let class = format!("{:?}", def.class).to_lowercase();
        list.push(json!({ "op": def.name, "operands": operands(def), "attrs": attrs, "class": class, "doc": def.doc }));
        table.row([def.name.to_string(), operands(def).join(" "), class, def.doc.to_string()]);
    }
    Report::new(table.to_string(), json!({ "ops": list }))
}

fn operands(def: &OpDef) -> Vec<String> {
    match def.operands {
        Operands::Fixed(names) => names.iter().map(ToString::to_string).collect(),
        Operands::Variadic(name) => vec![format!("{name}...")],
    }
}

fn operators() -> Report {
    let mut operators: Vec<_> = registry().import.operators.iter().map(|operator| (operator.domain, operator.name)).collect();
    operators.sort_unstable();
    let mut table = Table::new(&["operator", "domain"]);
    for (domain, name) in &operators {
        table.row([name.to_string(), if domain.is_empty() { "ai.onnx".to_string() } else { domain.to_string() }]);
    }
    let list: Vec<_> = operators.iter().map(|(domain, name)| json!({ "op": name, "domain": domain })).collect();
    Report::new(table.to_string(), json!({ "onnx": list }))
}
