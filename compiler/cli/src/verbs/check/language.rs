//! The report about a language model.

use crate::format::bytes;
use crate::report::Report;
use crate::table::Table;
use lostwax_import::LanguageReport;
use lostwax_import::program::EntryGraph;
use lostwax_ir::graph::{Graph, Value};
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// What the model consists of, and the verdict.
pub fn report(checked: &LanguageReport) -> Report {
    Report::new(text(checked), to_json(checked))
}

fn text(checked: &LanguageReport) -> String {
    let LanguageReport { format, architecture, family, tensors, .. } = checked;
    let mut text = String::new();
    if !architecture.is_empty() {
        let _ =
            writeln!(text, "format        {format}\narchitecture  {architecture}, {}", family.map_or("not known", |_| "known"));
        let _ = writeln!(text, "tensors       {tensors}\n\n{}", weights(checked));
    }
    for EntryGraph { name, graph } in &checked.entries {
        let _ = writeln!(text, "entry point   {name}: {} nodes", graph.len());
    }
    match &checked.problem {
        None => text + "\nsupported\n",
        Some(problem) => format!("{text}\nNOT supported\n  {problem}\n"),
    }
}

fn weights(checked: &LanguageReport) -> Table {
    let mut table = Table::new(&["type", "tensors", "values", "size"]);
    for weight in &checked.weights {
        table.row([weight.dtype.clone(), weight.tensors.to_string(), weight.values.to_string(), bytes(weight.bytes)]);
    }
    table
}

fn to_json(checked: &LanguageReport) -> Json {
    let weights = checked.weights.iter().map(
        |weight| json!({ "dtype": weight.dtype, "tensors": weight.tensors, "values": weight.values, "bytes": weight.bytes }),
    );
    json!({
        "format": checked.format,
        "supported": checked.problem.is_none(),
        "architecture": checked.architecture,
        "family": checked.family,
        "tensors": checked.tensors,
        "weights": weights.collect::<Vec<_>>(),
        "dtypes": checked.weights.iter().map(|weight| &weight.dtype).collect::<Vec<_>>(),
        "entry_points": checked.entries.iter().map(entry_json).collect::<Vec<_>>(),
        "problem": checked.problem,
    })
}

fn entry_json(entry: &EntryGraph) -> Json {
    let EntryGraph { name, graph } = entry;
    let inputs: Vec<Json> = graph.inputs().iter().map(|value| tensor_json(graph, graph.input_name(*value), *value)).collect();
    let outputs: Vec<Json> = graph.outputs().iter().map(|output| tensor_json(graph, &output.name, output.value)).collect();
    json!({ "name": name, "nodes": graph.len(), "inputs": inputs, "outputs": outputs })
}

fn tensor_json(graph: &Graph, name: &str, value: Value) -> Json {
    let ty = graph.ty(value);
    json!({ "name": name, "dtype": ty.dtype.name(), "dims": ty.dims.iter().map(ToString::to_string).collect::<Vec<_>>() })
}
