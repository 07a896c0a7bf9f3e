//! All of one kernel of an artifact.

use super::{entry_of, kernel_of};
use crate::error::CliError;
use crate::report::Report;
use lostwax_ir::suggest::unknown;
use lostwax_runtime::format::{Plan, Variant};
use serde_json::{Value, json};
use std::fmt::Write;

/// The variants that have a kernel, and what they run it for.
pub fn page(plan: &Plan, name: &str) -> Result<Report, CliError> {
    let having: Vec<&Variant> =
        plan.variants.iter().filter(|variant| variant.kernels.iter().any(|kernel| kernel == name)).collect();
    if having.is_empty() {
        let names = plan.variants.iter().flat_map(|variant| &variant.kernels).map(String::as_str);
        return Err(CliError::usage(format!("{}; `--kernels` lists all", unknown("kernel", name, names))));
    }
    let mut text = format!("kernel   {name}\n");
    for variant in &having {
        let Variant { device, arch, name: variant_name, .. } = variant;
        let _ = writeln!(text, "variant  {device} {arch} {variant_name}");
        for step in steps(variant, plan, name) {
            let _ = writeln!(text, "  step   {}{step}: {}", place(plan, step), nodes(plan, step).join(" "));
        }
    }
    let variants: Vec<Value> = having.iter().map(|variant| to_json(variant, plan, name)).collect();
    Ok(Report::new(text, json!({ "kernel": name, "variants": variants })))
}

fn steps(variant: &Variant, plan: &Plan, kernel: &str) -> Vec<usize> {
    (0..plan.steps.len()).filter(|step| kernel_of(variant, *step).is_some_and(|name| name == kernel)).collect()
}

fn place(plan: &Plan, step: usize) -> String {
    entry_of(plan, step).map_or_else(String::new, |entry| format!("{entry} "))
}

fn nodes(plan: &Plan, step: usize) -> &[String] {
    plan.steps.get(step).map_or(&[], |step| &step.nodes)
}

fn to_json(variant: &Variant, plan: &Plan, kernel: &str) -> Value {
    let step = |step: usize| json!({ "step": step, "entry_point": entry_of(plan, step), "nodes": nodes(plan, step) });
    let steps: Vec<Value> = steps(variant, plan, kernel).into_iter().map(step).collect();
    json!({ "device": variant.device, "arch": variant.arch, "name": variant.name, "steps": steps })
}
