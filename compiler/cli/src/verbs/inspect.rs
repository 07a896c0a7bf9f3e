//! `lostwax inspect`.

mod kernel;

use crate::console::Console;
use crate::error::CliError;
use crate::format::{bytes, hex, tensor_type};
use crate::formula::{self, LEAST_SIZE};
use crate::registry::registry;
use crate::report::Report;
use crate::settings::{CompileArgs, ImportArgs};
use crate::source;
use crate::table::Table;
use lostwax_compiler::plan_sizes::PlanSizes;
use lostwax_runtime::api::{Content, DeviceError};
use lostwax_runtime::format::{EntryPoint, Plan, Variant};
use lostwax_runtime::{EntryPointInfo, Model, Requirements, TensorInfo};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax inspect model.lwx
  lostwax inspect model.lwx --shape x:1x3x640x640       memory at these sizes
  lostwax inspect model.lwx --plan --kernels --sections
  lostwax inspect model.lwx --kernel conv_add_relu_0";

/// Shows what an artifact holds: entry points, sections, plan, kernels, memory, hashes
///
/// A model that is not an artifact is compiled in memory first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An artifact or a model.
    file: PathBuf,
    /// Show the steps of the plan.
    #[arg(long)]
    plan: bool,
    /// Show the kernels of each variant.
    #[arg(long)]
    kernels: bool,
    /// Show details of this kernel: its variants, and the steps and nodes that it computes.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["plan", "kernels", "sections"])]
    kernel: Option<String>,
    /// Show all sections of the file.
    #[arg(long)]
    sections: bool,
    #[command(flatten)]
    shapes: ImportArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let model = source::open(&self.file, &CompileArgs::default(), &self.shapes, console)?.model;
        if let Some(name) = &self.kernel {
            return kernel::page(model.artifact().plan(), name);
        }
        let memory = Memory::new(&model, &self.shapes)?;
        Ok(Report::new(self.text(&model, &memory), to_json(&model, &memory)))
    }

    fn text(&self, model: &Model, memory: &Memory) -> String {
        let mut text = summary(model) + &memory.text();
        if self.sections {
            let _ = write!(text, "\n{}", sections(model));
        }
        if self.plan {
            let _ = write!(text, "\n{}", steps(model.artifact().plan()));
        }
        if self.kernels {
            let _ = write!(text, "\n{}", kernels(model.artifact().plan()));
        }
        text
    }
}

/// Working memory at one choice of sizes, of the entry point that needs most.
pub struct Memory {
    formula: String,
    at: Vec<String>,
    pub requirements: Requirements,
}

impl Memory {
    /// Memory at the sizes given, typical ones where none are.
    pub fn new(model: &Model, shapes: &ImportArgs) -> Result<Self, CliError> {
        let entries = &model.artifact().plan().entry_points;
        let inputs = entries.iter().flat_map(|entry| &entry.inputs);
        shapes.check_names(inputs.map(|spec| spec.name.as_str()))?;
        let each = entries.iter().map(|entry| Self::of_entry(model, entry, shapes)).collect::<Result<Vec<_>, _>>()?;
        let largest = each.into_iter().rev().max_by_key(|memory| memory.requirements.arena_bytes);
        largest.ok_or_else(|| CliError::usage("the model has no entry point"))
    }

    fn of_entry(model: &Model, entry: &EntryPoint, shapes: &ImportArgs) -> Result<Self, CliError> {
        let plan = model.artifact().plan();
        let mut sizes = PlanSizes::new(plan);
        let info = || model.entry_points().into_iter().find(|info| info.name == entry.name);
        let formula = formula::largest_of(plan, entry.arena_bytes).or_else(|| Some(info()?.arena_bytes)).unwrap_or_default();
        for spec in &entry.inputs {
            if let Some(shape) = shapes.sizes(&spec.name) {
                sizes.bind_shape(spec, &shape);
            }
        }
        sizes.complete(entry);
        let bindings = sizes.bindings();
        let requirements = model.requirements(Some(&entry.name), &bindings)?;
        Ok(Self { formula, at: bindings.iter().map(|(name, value)| format!("{name} = {value}")).collect(), requirements })
    }

    fn ratio(&self) -> f64 {
        self.requirements.arena_bytes as f64 / self.requirements.arena_lower_bound_bytes.max(1) as f64
    }

    pub fn text(&self) -> String {
        let Requirements { arena_bytes, arena_lower_bound_bytes, weight_bytes, .. } = &self.requirements;
        let at = if self.at.is_empty() { String::new() } else { format!(" at {}", self.at.join(", ")) };
        let (arena, bound) = (bytes(*arena_bytes), bytes(*arena_lower_bound_bytes));
        let mut text = format!("memory     peak {arena}, lower bound {bound}, ratio {:.3}{at}\n", self.ratio());
        if !self.at.is_empty() {
            let _ = writeln!(
                text,
                "           peak = {} (sizes from {LEAST_SIZE}, outermost from 1, before rounding up)",
                self.formula
            );
        }
        let _ = writeln!(text, "weights    {}", bytes(*weight_bytes));
        if self.requirements.state_bytes > 0 {
            let _ = writeln!(text, "states     {}", bytes(self.requirements.state_bytes));
        }
        text
    }

    pub fn json(&self) -> Value {
        json!({
            "arena_bytes": self.requirements.arena_bytes,
            "arena_lower_bound_bytes": self.requirements.arena_lower_bound_bytes,
            "arena_ratio": self.ratio(),
            "arena_formula": self.formula,
            "at": self.at,
            "weight_bytes": self.requirements.weight_bytes,
            "input_bytes": self.requirements.input_bytes,
            "output_bytes": self.requirements.output_bytes,
            "state_bytes": self.requirements.state_bytes,
        })
    }
}

/// Name, entry points, symbols and variants.
fn summary(model: &Model) -> String {
    let artifact = model.artifact();
    let mut text = format!("model      {}\nproducer   {}\n", model.name(), artifact.index().producer);
    let _ = writeln!(text, "id         {}\nfile       {}", hex(&artifact.id()), bytes(model.file_bytes().len() as u64));
    text += &interface(model);
    let _ = writeln!(text, "plan       {} steps", artifact.plan().steps.len());
    for (position, variant) in artifact.plan().variants.iter().enumerate() {
        let size = artifact.code(position).map_or(0, |range| range.len() as u64);
        let (device, arch, name, kernels) = (&variant.device, &variant.arch, &variant.name, variant.kernels.len());
        let _ = writeln!(text, "variant    {device} {arch} {name}: {kernels} kernels, {}", bytes(size));
        let parts: Vec<String> = match contents(model, position) {
            Ok(contents) => contents.iter().map(|Content { name, bytes: size }| format!("{name} {}", bytes(*size))).collect(),
            Err(error) => vec![error.to_string()],
        };
        if !parts.is_empty() {
            let _ = writeln!(text, "           {}", parts.join(", "));
        }
    }
    text += &placement(artifact.plan());
    let cases = artifact.certificate().cases.len();
    if cases > 0 {
        let _ = writeln!(text, "numerics   certificate with {cases} cases; `lostwax verify` checks it");
    }
    text
}

/// What the code of a variant holds, as far as its device tells.
fn contents(model: &Model, position: usize) -> Result<Vec<Content>, DeviceError> {
    let variant = model.variants().get(position);
    let device = variant.and_then(|variant| registry().device(Some(&variant.device), &[]).ok());
    let code = model.artifact().code(position).and_then(|range| model.file_bytes().get(range));
    device.zip(code).map_or(Ok(Vec::new()), |(device, code)| device.contents(code))
}

/// Where steps run that a variant has no kernels for.
fn placement(plan: &Plan) -> String {
    let placed = plan.variants.iter().filter(|variant| !variant.fallback_steps.is_empty());
    let line = |variant: &Variant| {
        let Variant { device, name, fallback_steps, fallback_device, .. } = variant;
        let (own, left) = (plan.steps.len().saturating_sub(fallback_steps.len()), fallback_steps.len());
        format!("placement  {device} {name}: {own} steps on {device}, {left} on {fallback_device}\n")
    };
    placed.map(line).collect()
}

/// Inputs, outputs, states and the ranges of named sizes.
pub fn interface(model: &Model) -> String {
    let mut text = String::new();
    for EntryPointInfo { name, inputs, outputs, .. } in model.entry_points() {
        let _ = writeln!(text, "entry      {name}");
        for (role, tensors) in [("input", inputs), ("output", outputs)] {
            for tensor in tensors {
                let _ = writeln!(text, "  {role:8} {}: {}", tensor.name, tensor_type(&tensor));
            }
        }
    }
    text += &states(&model.states());
    for symbol in model.symbols() {
        let max = if symbol.max >= UNLIMITED { String::new() } else { format!("={}", symbol.max) };
        let _ = writeln!(text, "  size     {} in {}..{max}", symbol.name, symbol.min);
    }
    text
}

/// States by type; where several have one, the first and the last of them.
fn states(states: &[TensorInfo]) -> String {
    let mut text = String::new();
    let mut types: Vec<String> = states.iter().map(tensor_type).collect();
    types.sort();
    types.dedup();
    for ty in types {
        let names: Vec<&str> = states.iter().filter(|state| tensor_type(state) == ty).map(|state| state.name.as_str()).collect();
        let _ = match names.as_slice() {
            [first, .., last] => writeln!(text, "states     {} of {ty}: {first} .. {last}", names.len()),
            _ => writeln!(text, "state      {}: {ty}", names.join(" ")),
        };
    }
    text
}

/// Larger bounds are none.
const UNLIMITED: i64 = 1 << 31;

fn sections(model: &Model) -> Table {
    let mut table = Table::new(&["offset", "bytes", "section"]);
    for (name, range) in model.artifact().sections() {
        table.row([range.start.to_string(), range.len().to_string(), name.to_string()]);
    }
    table
}

/// The steps with the kernels of the first variant; where a variant leaves steps to another device, of that one and with the devices.
fn steps(plan: &Plan) -> Table {
    let placed = plan.variants.iter().find(|variant| !variant.fallback_steps.is_empty());
    let columns: &[&str] = if placed.is_some() { &["step", "kernel", "nodes", "device"] } else { &["step", "kernel", "nodes"] };
    let mut table = Table::new(columns);
    for (index, step) in plan.steps.iter().enumerate() {
        let kernel = placed.or(plan.variants.first()).and_then(|variant| kernel_of(variant, index));
        let number = entry_of(plan, index).map_or_else(|| index.to_string(), |entry| format!("{entry} {index}"));
        let device = placed.map(|variant| if variant.leaves(index) { &variant.fallback_device } else { &variant.device });
        table.row([number, kernel.unwrap_or(&step.label).clone(), step.nodes.join(" ")].into_iter().chain(device.cloned()));
    }
    table
}

/// The kernel that the code of a variant runs in a step.
fn kernel_of(variant: &Variant, step: usize) -> Option<&String> {
    let dispatch = variant.dispatches.get(step).filter(|_| !variant.leaves(step))?;
    variant.kernels.get(dispatch.kernel as usize)
}

/// The entry point of a step, where there are several.
fn entry_of(plan: &Plan, step: usize) -> Option<&str> {
    let entry = plan.entry_points.iter().rfind(|entry| entry.first_step as usize <= step)?;
    (plan.entry_points.len() > 1).then_some(entry.name.as_str())
}

fn kernels(plan: &Plan) -> Table {
    let mut table = Table::new(&["variant", "kernel", "runs"]);
    for variant in &plan.variants {
        for (index, kernel) in variant.kernels.iter().enumerate() {
            let runs = variant.own_dispatches().filter(|(_, dispatch)| dispatch.kernel as usize == index).count();
            table.row([variant.name.clone(), kernel.clone(), runs.to_string()]);
        }
    }
    table
}

fn to_json(model: &Model, memory: &Memory) -> Value {
    let artifact = model.artifact();
    let sections = artifact.sections().map(|(name, range)| json!({ "name": name, "offset": range.start, "bytes": range.len() }));
    let variants = artifact.plan().variants.iter().enumerate().map(|(position, variant)| {
        let code_bytes = artifact.code(position).map(|range| range.len());
        let content = |Content { name, bytes }: &Content| json!({ "name": name, "bytes": bytes });
        let contents = contents(model, position).ok().map(|contents| contents.iter().map(content).collect::<Vec<_>>());
        json!({
            "device": variant.device,
            "arch": variant.arch,
            "os": variant.os,
            "abi": variant.abi,
            "name": variant.name,
            "features": variant.features,
            "kernels": variant.kernels,
            "code_bytes": code_bytes,
            "contents": contents,
            "fallback_device": variant.fallback_device,
            "fallback_steps": variant.fallback_steps,
        })
    });
    let plan = artifact.plan();
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let kernels: Vec<_> = plan.variants.iter().map(|variant| kernel_of(variant, index)).collect();
        json!({ "entry_point": entry_of(plan, index), "label": step.label, "nodes": step.nodes, "kernels": kernels })
    });
    json!({
        "model": model.name(),
        "producer": artifact.index().producer,
        "format_version": artifact.index().format_version,
        "id": hex(&artifact.id()),
        "bytes": model.file_bytes().len(),
        "entry_points": model.entry_points().iter().map(entry_json).collect::<Vec<_>>(),
        "states": tensors_json(&model.states()),
        "symbols": symbols_json(model),
        "sections": sections.collect::<Vec<_>>(),
        "plan": { "steps": steps.collect::<Vec<_>>(), "variants": variants.collect::<Vec<_>>() },
        "memory": memory.json(),
        "certificate_cases": artifact.certificate().cases.len(),
    })
}

pub fn tensors_json(tensors: &[TensorInfo]) -> Value {
    tensors.iter().map(|tensor| json!({ "name": tensor.name, "dtype": tensor.dtype, "dims": tensor.dims })).collect()
}

/// Named sizes with their ranges; no largest size where there is no limit.
pub fn symbols_json(model: &Model) -> Value {
    let symbols = model.symbols();
    let symbols = symbols.iter().map(|symbol| {
        let max = (symbol.max < UNLIMITED).then_some(symbol.max);
        json!({ "name": symbol.name, "min": symbol.min, "max": max })
    });
    symbols.collect()
}

pub fn entry_json(entry: &EntryPointInfo) -> Value {
    json!({
        "name": entry.name,
        "inputs": tensors_json(&entry.inputs),
        "outputs": tensors_json(&entry.outputs),
        "arena_bytes": entry.arena_bytes,
        "steps": entry.steps,
    })
}
