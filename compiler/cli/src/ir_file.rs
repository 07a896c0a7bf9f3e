//! Graphs as files: text, and the large constants beside it.

use crate::error::CliError;
use crate::input;
use crate::output::{OutputFile, is_standard};
use crate::settings::ImportArgs;
use crate::tensors::{read_npz, write_npz};
use lostwax_ir::graph::Graph;
use lostwax_ir::tensor::Tensor as Constant;
use lostwax_ir::text::{parse_graph, print_graph};
use lostwax_ir::types::DType as ConstantType;
use lostwax_runtime::{DType, Tensor};
use std::path::Path;
use std::sync::Arc;

/// Refuses shapes and constants for a graph as text, which has its own.
pub fn check_shapes(path: &Path, shapes: &ImportArgs) -> Result<(), CliError> {
    let given = shapes.shapes.iter().map(|spec| &spec.name).chain(shapes.constants.iter().map(|spec| &spec.name));
    given.into_iter().next().map_or(Ok(()), |name| {
        let problem = format!("`{name}` was imported already; give --shape and --constant where the model is imported");
        Err(CliError::file(path, problem))
    })
}

/// Reads a graph from a file, or from stdin if the name is `-`.
pub fn read(path: &Path) -> Result<Graph, CliError> {
    let text = input::read_text(path)?;
    let data = if is_standard(path) { Vec::new() } else { read_constants(&path.with_extension("npz"))? };
    parse_graph(&text, &data).map_err(|error| CliError::file(path, error.to_string()))
}

/// The constants in their order; none if there is no file.
fn read_constants(path: &Path) -> Result<Vec<Arc<Constant>>, CliError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut members = read_npz(path)?;
    members.sort_by_key(|(name, _)| name.parse::<usize>().unwrap_or(usize::MAX));
    let problem = |name: &str| CliError::file(path, format!("`{name}` cannot be a constant"));
    members.iter().map(|(name, tensor)| constant(tensor).map(Arc::new).ok_or_else(|| problem(name))).collect()
}

fn constant(tensor: &Tensor) -> Option<Constant> {
    Constant::from_bytes(ConstantType::from_name(tensor.dtype().name())?, tensor.shape(), tensor.bytes())
}

/// Writes a graph and, if it has large constants, a file for them.
pub fn write(path: &Path, graph: &Graph) -> Result<(), CliError> {
    let printed = print_graph(graph);
    OutputFile::write(path, printed.text.as_bytes())?;
    if printed.data.is_empty() {
        return Ok(());
    }
    let mut tensors = Vec::new();
    for (number, constant) in printed.data.iter().enumerate() {
        let problem = || CliError::file(path, format!("constant {number} has a type that cannot be stored"));
        let dtype = DType::from_name(constant.dtype().name()).ok_or_else(problem)?;
        tensors.push((number.to_string(), Tensor::from_bytes(dtype, constant.shape(), constant.bytes())?));
    }
    write_npz(&path.with_extension("npz"), tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))
}
