//! `lostwax bisect`.

use crate::compare::{Compared, interpret, references};
use crate::console::Console;
use crate::error::{self, CliError};
use crate::registry::registry;
use crate::report::Report;
use crate::settings::{ImportArgs, LevelArgs, PassArgs};
use crate::source;
use crate::table::Table;
use crate::tensors::{InputSpec, given_tensors};
use lostwax_compiler::bisect::{Found, bisect};
use lostwax_compiler::error::CompileError;
use lostwax_compiler::model::{self, CompileOptions};
use lostwax_ir::dim::Bindings;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_runtime::{DType, Tensor, reference_input};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax bisect model.onnx --shape x:1x3x64x64
  lostwax bisect model.onnx --seed 7 --rtol 1e-4 -O2
  lostwax bisect model.onnx -i x=@input.npy --target gpu
  lostwax bisect model.ir --disable-rule layout";

/// What a dynamic size is taken to be; outermost sizes are 1.
const TYPICAL: i64 = 32;

/// Random numbers are in `-RANGE..RANGE`: of both signs, and large enough that functions which are alike near 0 differ.
const RANGE: f64 = 4.0;

/// Finds the first pass, and the first rule in it, that changes the results of a model
///
/// Runs the passes of a level one after another, with the costs of the target, and compares the graph after each with the imported
/// one in the reference interpreter. If one breaks the results, searches for the rewrite rule that does so. The exit code is 0 if nothing
/// breaks and 1 if something does.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model, or a graph as IR text (`.ir`).
    file: PathBuf,
    /// The largest accepted difference, relative to the range of the output.
    #[arg(long, default_value_t = 1e-3)]
    rtol: f64,
    /// An input: a file (`x=@x.npy`, `@inputs.npz`), or dims, type and values as for `lostwax run`; repeatable.
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<InputSpec>,
    /// The seed of random inputs. Inputs that are not given are random: -4..4, integers 0..10.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    shapes: ImportArgs,
    #[command(flatten)]
    passes: PassArgs,
    #[command(flatten)]
    level: LevelArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let graph = source::read_or_import(&self.file, &self.shapes, console)?;
        let options = CompileOptions { level: self.level.number()?, ..self.passes.options(&self.shapes)? };
        let level = self.level.level()?;
        let passes = level.passes.iter().map(|name| registry().passes.pass(name)).collect::<Result<Vec<_>, _>>();
        let passes = passes.map_err(CompileError::from)?;
        let rules: Vec<&str> = registry().passes.rules().map(|(_, rule)| rule.name).collect();
        let inputs = references(&self.inputs(&graph)?)?;
        let expected = interpret(&graph, &inputs, console)?;
        check_finite(&expected)?;
        let context = model::context(registry(), &graph.clone().into(), &options)?;
        let mut difference = |graph: &Graph| {
            let found = interpret(graph, &inputs, console)?;
            let outputs = expected.iter().map(|(name, expected)| Compared::between(found.get(name), expected, self.rtol).max_rel);
            Ok::<f64, CliError>(outputs.fold(0.0, f64::max))
        };
        let found = bisect(&graph, &passes, &context, &rules, self.rtol, &mut difference)?;
        Ok(report(&found, self.seed))
    }

    /// The inputs that are given, and random ones of moderate sizes for the others.
    fn inputs(&self, graph: &Graph) -> Result<Vec<(String, Tensor)>, CliError> {
        let names: Vec<&str> = graph.inputs().iter().map(|value| graph.input_name(*value)).collect();
        let mut given = given_tensors(&names, &self.inputs, self.seed)?;
        let sizes = sizes(graph, &given);
        let all = graph.inputs().iter().map(|value| match given.remove_entry(graph.input_name(*value)) {
            Some(input) => Ok(input),
            None => input(graph, *value, &sizes, self.seed),
        });
        all.collect()
    }
}

/// Refuses results of which none is a finite number, since nothing can be compared then.
fn check_finite(outputs: &BTreeMap<String, Reference>) -> Result<(), CliError> {
    let is_finite = outputs.values().any(|output| output.to_f64().iter().any(|value| value.is_finite()));
    let problem = "no output is finite, so there is nothing to compare; give other inputs with -i, or other sizes with --shape";
    if is_finite { Ok(()) } else { Err(CliError::usage(problem)) }
}

/// The sizes of the inputs that are given, and moderate ones.
fn sizes(graph: &Graph, given: &BTreeMap<String, Tensor>) -> Bindings {
    let mut sizes = moderate_sizes(graph);
    for value in graph.inputs() {
        let shape = given.get(graph.input_name(*value)).map_or(&[][..], Tensor::shape);
        for (dim, size) in graph.ty(*value).dims.iter().zip(shape) {
            sizes.entry(dim.to_string()).and_modify(|known| *known = *size as i64);
        }
    }
    sizes
}

fn moderate_sizes(graph: &Graph) -> Bindings {
    let symbols = graph.symbols();
    let outermost: Vec<String> =
        graph.inputs().iter().filter_map(|value| Some(graph.ty(*value).dims.first()?.to_string())).collect();
    let size = |name: &String| if outermost.contains(name) { 1 } else { TYPICAL };
    symbols.iter().map(|(name, symbol)| (name.clone(), size(name).clamp(symbol.min(), symbol.max().max(symbol.min())))).collect()
}

fn input(graph: &Graph, value: Value, sizes: &Bindings, seed: u64) -> Result<(String, Tensor), CliError> {
    let (name, ty) = (graph.node(value).attrs.text("name").to_string(), graph.ty(value));
    let unknown =
        || CliError::usage(format!("cannot make a random input for `{name}`, which is {ty}; give its shape with --shape"));
    let shape = ty.bind(sizes).static_shape().ok_or_else(unknown)?;
    let dtype = DType::from_name(ty.dtype.name()).ok_or_else(unknown)?;
    let (low, high) = if ty.dtype.is_float() { (-RANGE, RANGE) } else { (0.0, 10.0) };
    Ok((name.clone(), reference_input(seed, &name, dtype, &shape, low, high)?))
}

fn report(found: &Found, seed: u64) -> Report {
    let mut table = Table::new(&["pass", "max rel"]);
    for step in &found.steps {
        table.row([step.pass.to_string(), format!("{:.3e}", step.difference)]);
    }
    let culprit = found.steps.last().filter(|_| found.broken).map(|step| step.pass);
    let verdict = match (culprit, found.rule) {
        (None, _) => "no pass breaks the results".to_string(),
        (Some(pass), None) => format!("`{pass}` breaks the results even without rules"),
        (Some(pass), Some(rule)) => {
            format!("rule `{rule}` in `{pass}` breaks the results; turn it off with --disable-rule {rule}")
        }
    };
    let steps: Vec<_> = found.steps.iter().map(|step| json!({ "pass": step.pass, "max_rel": step.difference })).collect();
    let json = json!({ "ok": !found.broken, "pass": culprit, "rule": found.rule, "steps": steps, "seed": seed });
    let code = if found.broken { error::MISMATCH } else { 0 };
    Report::new(format!("{table}{verdict}"), json).with_exit_code(code)
}
