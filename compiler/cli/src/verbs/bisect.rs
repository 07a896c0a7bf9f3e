//! `lostwax bisect`.

use crate::compare::{Compared, interpret, references};
use crate::console::Console;
use crate::error::{self, CliError};
use crate::ir_file;
use crate::registry::registry;
use crate::report::Report;
use crate::settings::{CompileArgs, ShapeArgs};
use crate::table::Table;
use lostwax_compiler::bisect::{Found, bisect};
use lostwax_compiler::error::CompileError;
use lostwax_ir::dim::Bindings;
use lostwax_ir::graph::{Graph, Value};
use lostwax_runtime::{DType, Tensor, reference_input};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lostwax bisect model.onnx --shape x:1x3x64x64
  lostwax bisect model.onnx --seed 7 --rtol 1e-4 -O2
  lostwax bisect model.ir --disable-rule layout";

/// What a dynamic size is taken to be; outermost sizes are 1.
const TYPICAL: i64 = 32;

/// Finds the first pass, and in it the first rule, that changes what a model computes
///
/// Runs the passes one after another and compares the graph after each with the imported one, in the reference interpreter,
/// on random inputs. If one breaks the results, searches for the rewrite rule that does so. The exit code is 0 if nothing
/// breaks and 1 if something does.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model, or a graph as IR text (`.ir`).
    file: PathBuf,
    /// The largest difference that is fine, relative to the output's range.
    #[arg(long, default_value_t = 1e-3)]
    rtol: f64,
    /// The seed of the inputs: 0..1, integers 0..10.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    shapes: ShapeArgs,
    #[command(flatten)]
    compile: CompileArgs,
}

impl Args {
    pub fn run(self, console: &Console) -> Result<Report, CliError> {
        let graph = ir_file::read_or_import(&self.file, &self.shapes, console)?;
        let options = self.compile.options(&self.shapes)?;
        let level = self.compile.level()?;
        let passes = level.passes.iter().map(|name| registry().passes.pass(name)).collect::<Result<Vec<_>, _>>();
        let passes = passes.map_err(CompileError::from)?;
        let rules: Vec<&str> = registry().passes.rules().map(|(_, rule)| rule.name).collect();
        let inputs = references(&inputs(&graph, self.seed)?)?;
        console.stage("running the reference interpreter");
        let expected = interpret(&graph, &inputs)?;
        if !expected.values().any(|output| output.to_f64().iter().any(|value| value.is_finite())) {
            console.note("no result is a finite number, so nothing can be told; give other sizes with --shape");
        }
        let mut difference = |graph: &Graph| {
            console.stage("running passes and the reference interpreter");
            let found = interpret(graph, &inputs)?;
            let outputs = expected.iter().map(|(name, expected)| Compared::between(found.get(name), expected, self.rtol).max_rel);
            Ok::<f64, CliError>(outputs.fold(0.0, f64::max))
        };
        let found = bisect(&graph, &passes, &level.context(&options.passes), &rules, self.rtol, &mut difference)?;
        Ok(report(&found, self.seed))
    }
}

/// Random inputs of moderate sizes.
fn inputs(graph: &Graph, seed: u64) -> Result<Vec<(String, Tensor)>, CliError> {
    let sizes = sizes(graph);
    graph.inputs().iter().map(|value| input(graph, *value, &sizes, seed)).collect()
}

fn sizes(graph: &Graph) -> Bindings {
    let symbols = graph.symbols();
    let outermost: Vec<String> = graph.inputs().iter().filter_map(|value| Some(graph.ty(*value).dims.first()?.to_string())).collect();
    let size = |name: &String| if outermost.contains(name) { 1 } else { TYPICAL };
    symbols.iter().map(|(name, symbol)| (name.clone(), size(name).clamp(symbol.min(), symbol.max().max(symbol.min())))).collect()
}

fn input(graph: &Graph, value: Value, sizes: &Bindings, seed: u64) -> Result<(String, Tensor), CliError> {
    let (name, ty) = (graph.node(value).attrs.text("name").to_string(), graph.ty(value));
    let unknown = || CliError::usage(format!("`{name}` is {ty}, for which no input can be made; give its shape with --shape"));
    let shape = ty.bind(sizes).static_shape().ok_or_else(unknown)?;
    let dtype = DType::from_name(ty.dtype.name()).ok_or_else(unknown)?;
    let high = if ty.dtype.is_float() { 1.0 } else { 10.0 };
    Ok((name.clone(), reference_input(seed, &name, dtype, &shape, 0.0, high)?))
}

fn report(found: &Found, seed: u64) -> Report {
    let mut table = Table::new(&["pass", "max rel"]);
    for step in &found.steps {
        table.row([step.pass.to_string(), format!("{:.3e}", step.difference)]);
    }
    let culprit = found.steps.last().filter(|_| found.broken).map(|step| step.pass);
    let verdict = match (culprit, found.rule) {
        (None, _) => "no pass breaks the results".to_string(),
        (Some(pass), None) => format!("`{pass}` breaks the results, also without rules"),
        (Some(pass), Some(rule)) => format!("rule `{rule}` in `{pass}` breaks the results; leave it out with --disable-rule {rule}"),
    };
    let steps: Vec<_> = found.steps.iter().map(|step| json!({ "pass": step.pass, "max_rel": step.difference })).collect();
    let json = json!({ "ok": !found.broken, "pass": culprit, "rule": found.rule, "steps": steps, "seed": seed });
    let code = if found.broken { error::MISMATCH } else { 0 };
    Report::new(format!("{table}{verdict}"), json).with_exit_code(code)
}
