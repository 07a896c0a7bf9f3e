//! Results of an artifact beside those of the reference interpreter.

use crate::console::Console;
use crate::error::CliError;
use crate::settings::ImportArgs;
use crate::source;
use lostwax_import::program::Program;
use lostwax_import::{DimSpec, ImportOptions};
use lostwax_ir::dim::Bindings;
use lostwax_ir::eval::eval_graph_with_progress;
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_ir::types::DType;
use lostwax_runtime::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

/// The difference of one output from its reference.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    pub max_abs: f64,
    /// The largest difference relative to the range of the reference, 0 included.
    pub max_rel: f64,
    pub ok: bool,
}

impl Compared {
    pub fn new(tensor: &Tensor, reference: &Reference, rtol: f64) -> Self {
        Self::between(to_reference(tensor).as_ref(), reference, rtol)
    }

    /// As [`Compared::new`]; infinite where there is nothing to compare.
    pub fn between(found: Option<&Reference>, reference: &Reference, rtol: f64) -> Self {
        let found = found.filter(|found| found.ty() == reference.ty()).map(Reference::to_f64);
        let Some(found) = found else { return Self { max_abs: f64::INFINITY, max_rel: f64::INFINITY, ok: false } };
        let expected = reference.to_f64();
        let differences = found.iter().zip(&expected).map(|(found, expected)| difference(*found, *expected));
        let max_abs = differences.fold(0.0, f64::max);
        let max_rel = if max_abs == 0.0 { 0.0 } else { max_abs / range(&expected) };
        Self { max_abs, max_rel, ok: max_rel <= rtol }
    }
}

/// Infinite where one value is not a number and the other is.
fn difference(found: f64, expected: f64) -> f64 {
    match found == expected || (found.is_nan() && expected.is_nan()) {
        true => 0.0,
        false => Some((found - expected).abs()).filter(|difference| !difference.is_nan()).unwrap_or(f64::INFINITY),
    }
}

fn range(values: &[f64]) -> f64 {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    finite().fold(0.0, f64::max) - finite().fold(0.0, f64::min)
}

/// Runs a model in the reference interpreter, imported for the shapes of these inputs and with the constants of `args`.
pub fn reference_outputs(
    path: &Path,
    inputs: &[(String, Tensor)],
    args: &ImportArgs,
    console: &Console,
) -> Result<BTreeMap<String, Reference>, CliError> {
    let shapes = inputs.iter().map(|(name, tensor)| (name.clone(), fixed(tensor.shape())));
    let options = ImportOptions { shapes: shapes.collect(), ..args.import_options() };
    interpret(&comparable(source::load(path, &options)?)?, &references(inputs)?, console)
}

/// The graph of a model that is one function of its inputs.
pub fn comparable(program: Program) -> Result<Graph, CliError> {
    let graph = program.into_single()?;
    let states = graph.inputs().iter().filter(|value| graph.op(**value) == Op::State);
    let names: Vec<&str> = states.map(|value| graph.input_name(*value)).collect();
    match names.is_empty() {
        true => Ok(graph),
        false => Err(CliError::usage(format!(
            "only models without states can be compared; this one has the states {}",
            names.join(", ")
        ))),
    }
}

/// Runs a graph in the reference interpreter.
pub fn interpret(
    graph: &Graph,
    inputs: &BTreeMap<String, Reference>,
    console: &Console,
) -> Result<BTreeMap<String, Reference>, CliError> {
    interpret_with(graph, inputs, &Bindings::new(), console)
}

/// The same with the values of symbols that no input determines.
pub fn interpret_with(
    graph: &Graph,
    inputs: &BTreeMap<String, Reference>,
    given: &Bindings,
    console: &Console,
) -> Result<BTreeMap<String, Reference>, CliError> {
    let stage = "running the reference interpreter";
    Ok(eval_graph_with_progress(graph, inputs, given, &mut |done, total| console.progress(stage, done, total))?)
}

/// Inputs in the form that the reference interpreter takes.
pub fn references(inputs: &[(String, Tensor)]) -> Result<BTreeMap<String, Reference>, CliError> {
    let inputs = inputs.iter().map(|(name, tensor)| {
        let problem = || CliError::usage(format!("the reference interpreter cannot take {} tensors", tensor.dtype()));
        Ok((name.clone(), to_reference(tensor).ok_or_else(problem)?))
    });
    inputs.collect()
}

fn fixed(shape: &[usize]) -> Vec<DimSpec> {
    shape.iter().map(|size| DimSpec::Fixed(*size as i64)).collect()
}

fn to_reference(tensor: &Tensor) -> Option<Reference> {
    Reference::from_bytes(DType::from_name(tensor.dtype().name())?, tensor.shape(), tensor.bytes())
}
