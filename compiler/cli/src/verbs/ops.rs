//! `lostwax ops`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_ir::ops::{Op, OpDef, Operands};
use lostwax_ir::suggest::unknown;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  lostwax ops
  lostwax ops matmul
  lostwax ops --onnx";

/// Lists the tensor operations, or the ONNX operators that can be imported
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show details of this tensor operation.
    #[arg(conflicts_with = "onnx")]
    name: Option<String>,
    /// List ONNX operators.
    #[arg(long)]
    onnx: bool,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        match &self.name {
            Some(name) => page(name),
            None if self.onnx => Ok(operators()),
            None => Ok(list()),
        }
    }
}

fn defs() -> impl Iterator<Item = &'static OpDef> {
    Op::ALL.iter().map(|op| op.def())
}

fn list() -> Report {
    let mut table = Table::new(&["op", "operands", "class", ""]);
    for def in defs() {
        table.row([def.name.to_string(), operands(def).join(" "), class(def), def.doc.to_string()]);
    }
    Report::new(table.to_string(), json!({ "ops": defs().map(to_json).collect::<Vec<_>>() }))
}

fn page(name: &str) -> Result<Report, CliError> {
    let unknown = || CliError::usage(format!("{}; `lostwax ops` lists all", unknown("op", name, defs().map(|def| def.name))));
    let def = defs().find(|def| def.name == name).ok_or_else(unknown)?;
    let text = format!(
        "op          {}\noperands    {}\nattributes  {}\nclass       {}\n\n{}\n",
        def.name,
        operands(def).join(" "),
        attrs(def).join(" "),
        class(def),
        def.doc
    );
    Ok(Report::new(text, json!({ "ops": [to_json(def)] })))
}

fn to_json(def: &OpDef) -> Value {
    json!({ "op": def.name, "operands": operands(def), "attrs": attrs(def), "class": class(def), "doc": def.doc })
}

fn class(def: &OpDef) -> String {
    format!("{:?}", def.class).to_lowercase()
}

fn attrs(def: &OpDef) -> Vec<&'static str> {
    def.attrs.iter().map(|attr| attr.name).collect()
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
