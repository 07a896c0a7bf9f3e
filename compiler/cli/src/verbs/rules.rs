//! `lostwax rules`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_compiler::error::CompileError;
use lostwax_ir::suggest::unknown;
use lostwax_passes::egraph::rule::{Right, Rule};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  lostwax rules
  lostwax rules --group recognize
  lostwax rules relu
  lostwax compile model.onnx -o model.lwx --disable-rule layout";

/// Lists the rewrite rules: group, numeric tier, left and right side
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show details of this rule.
    name: Option<String>,
    /// Only rules of this group.
    #[arg(long, conflicts_with = "name")]
    group: Option<String>,
}

type Grouped = (&'static str, &'static Rule);

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        match (&self.name, &self.group) {
            (Some(name), _) => page(name),
            (None, Some(group)) => of_group(group),
            (None, None) => Ok(list(&rules().collect::<Vec<_>>())),
        }
    }
}

/// All rules with the names of their groups.
fn rules() -> impl Iterator<Item = Grouped> {
    registry().passes.rules().map(|(group, rule)| (group.name, rule))
}

fn of_group(name: &str) -> Result<Report, CliError> {
    registry().passes.rule_group(name).map_err(CompileError::from)?;
    Ok(list(&rules().filter(|(group, _)| *group == name).collect::<Vec<_>>()))
}

fn list(rules: &[Grouped]) -> Report {
    let mut table = Table::new(&["rule", "group", "tier", "from", "to"]);
    for (group, rule) in rules {
        let cells = [rule.name.to_string(), group.to_string(), rule.tier.to_string(), rule.patterns().join(" | ")];
        table.row(cells.into_iter().chain([right(rule).to_string()]));
    }
    Report::new(table.to_string(), json!({ "rules": rules.iter().map(to_json).collect::<Vec<_>>() }))
}

/// All of one rule.
fn page(name: &str) -> Result<Report, CliError> {
    let unknown =
        || CliError::usage(format!("{}; `lostwax rules` lists all", unknown("rule", name, rules().map(|(_, rule)| rule.name))));
    let found = rules().find(|(_, rule)| rule.name == name).ok_or_else(unknown)?;
    let (group, rule) = found;
    let mut text = format!("rule   {}\ngroup  {group}\ntier   {}\n", rule.name, rule.tier);
    text.extend(rule.patterns().iter().map(|pattern| format!("from   {pattern}\n")));
    text += &format!("to     {}\n", right(rule));
    text.extend(rule.guards.iter().map(|guard| format!("where  {guard}\n")));
    Ok(Report::new(text, json!({ "rules": [to_json(&found)] })))
}

fn to_json((group, rule): &Grouped) -> Value {
    json!({
        "name": rule.name,
        "group": group,
        "tier": rule.tier.to_string(),
        "from": rule.patterns(),
        "to": right(rule),
        "guards": rule.guards,
    })
}

fn right(rule: &Rule) -> &'static str {
    match rule.right {
        Right::Text(text) => text,
        Right::Build(_) => "(built)",
    }
}
