//! `lostwax rules`.

use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_compiler::error::CompileError;
use lostwax_passes::egraph::rule::{Right, Rule};
use serde_json::json;

/// Lists the rewrite rules: group, numeric tier, left and right side
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax rules\n  lostwax rules --group recognize\n  \
    lostwax compile model.onnx -o model.lwx --disable-rule layout")]
pub struct Args {
    /// Only rules of this group.
    #[arg(long)]
    group: Option<String>,
}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let mut table = Table::new(&["rule", "group", "tier", "from", "to", "where"]);
        let mut list = Vec::new();
        let registry = &registry().passes;
        if let Some(group) = &self.group {
            registry.rule_group(group).map_err(CompileError::from)?;
        }
        let wanted = |group: &str| self.group.as_deref().is_none_or(|wanted| wanted == group);
        for (group, rule) in registry.rules().filter(|(group, _)| wanted(group.name)) {
            let (tier, to) = (rule.tier.to_string(), right(rule));
            list.push(json!({
                "name": rule.name,
                "group": group.name,
                "tier": tier,
                "from": rule.patterns(),
                "to": to,
                "guards": rule.guards,
            }));
            let from = rule.patterns().join(" | ");
            table.row([rule.name.to_string(), group.name.to_string(), tier, from, to.to_string(), rule.guards.join(", ")]);
        }
        Ok(Report::new(table.to_string(), json!({ "rules": list })))
    }
}

fn right(rule: &Rule) -> &'static str {
    match rule.right {
        Right::Text(text) => text,
        Right::Build(_) => "(built)",
    }
}
