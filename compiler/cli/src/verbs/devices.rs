//! `lostwax devices`.

use crate::console::Console;
use crate::error::CliError;
use crate::format;
use crate::registry::registry;
use crate::report::Report;
use crate::table::Table;
use lostwax_target_api::{Adapter, Device, Property, PropertyValue};
use serde_json::{Map, Value, json};

/// Lists the devices of this machine and the adapters of each
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  lostwax devices\n  lostwax devices --json\n  lostwax run model.lwx --device NAME:1")]
pub struct Args {}

impl Args {
    pub fn run(self, _console: &Console) -> Result<Report, CliError> {
        let (mut text, mut list) = (String::new(), Vec::new());
        for device in registry().devices() {
            let (variant, adapters) = (registry().best_variant(&**device), device.adapters());
            text += &describe(&**device, variant.as_deref(), &adapters);
            let adapters: Vec<Value> = adapters.iter().map(|adapter| to_json(device.name(), adapter)).collect();
            list.push(json!({ "name": device.name(), "variant": variant, "adapters": adapters }));
        }
        Ok(Report::new(text, json!({ "devices": list })))
    }
}

fn describe(device: &dyn Device, variant: Option<&str>, adapters: &[Adapter]) -> String {
    let variant = variant.map_or_else(|| "runs no variant".to_string(), |variant| format!("runs the variant {variant}"));
    let adapters: String = adapters.iter().map(|adapter| describe_adapter(device.name(), adapter)).collect();
    format!("{}: {variant}\n{adapters}", device.name())
}

fn describe_adapter(device: &str, adapter: &Adapter) -> String {
    let mut table = Table::new(&[]);
    for Property { name, value } in &adapter.properties {
        table.row([name.to_string(), to_text(value)]);
    }
    format!("  {}  {}\n{}", full_name(device, adapter), adapter.name, table.indented(4))
}

/// What follows `--device`.
fn full_name(device: &str, adapter: &Adapter) -> String {
    match adapter.specification.as_str() {
        "" => device.to_string(),
        specification => format!("{device}:{specification}"),
    }
}

fn to_text(value: &PropertyValue) -> String {
    match value {
        PropertyValue::Text(text) => text.clone(),
        PropertyValue::Count(count) => count.to_string(),
        PropertyValue::Bytes(count) => format::bytes(*count),
        PropertyValue::Names(names) if names.is_empty() => "none".to_string(),
        PropertyValue::Names(names) => names.join(" "),
    }
}

fn to_json(device: &str, adapter: &Adapter) -> Value {
    let value = |value: &PropertyValue| match value {
        PropertyValue::Text(text) => json!(text),
        PropertyValue::Count(count) | PropertyValue::Bytes(count) => json!(count),
        PropertyValue::Names(names) => json!(names),
    };
    let key = |property: &Property| property.name.replace(' ', "_");
    let properties: Map<String, Value> =
        adapter.properties.iter().map(|property| (key(property), value(&property.value))).collect();
    json!({ "device": full_name(device, adapter), "name": adapter.name, "properties": properties })
}
