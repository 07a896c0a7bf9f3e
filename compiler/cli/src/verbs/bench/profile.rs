//! The steps of a run, measured one by one.

use super::{Args, Measured, measured_peaks, percent};
use crate::error::CliError;
use crate::format;
use crate::table::Table;
use crate::tensors::views;
use lostwax_runtime::api::Peaks;
use lostwax_runtime::{Model, Options, StepProfile, Tensor};
use serde_json::{Value, json};

const RUNS: usize = 10;

/// A table of the steps; they are also added to `measured`.
pub fn profile(args: &Args, model: &Model, inputs: &[(String, Tensor)], measured: &mut Measured) -> Result<String, CliError> {
    let threads = match measured.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let device = args.device.device(model)?;
    let peaks = device.peaks(threads)?;
    let mut session = model.session_with(device, Options::new().with_threads(measured.threads))?;
    let steps = session.profile(&views(inputs), args.iters.unwrap_or(RUNS))?;
    measured.profile = Some(json!({
        "peak_gflops": peaks.map(|peaks| peaks.flops_per_second / 1e9),
        "peak_gbps": peaks.map(|peaks| peaks.bytes_per_second / 1e9),
        "copied_bytes": session.copied_bytes(),
        "steps": steps.iter().map(|step| step_json(step, peaks)).collect::<Vec<_>>(),
    }));
    let total: f64 = steps.iter().map(|step| step.seconds).sum();
    let mut table = Table::new(&["step", "ms", "% time", "GFLOP/s", "GB/s", "% peak", "device", "kernel", "nodes"]);
    for (index, step) in steps.iter().enumerate() {
        table.row(cells(index, step, total, peaks));
    }
    let copied = copied(session.copied_bytes(), &steps);
    Ok(format!("\n{threads} threads{}\n{copied}{table}", measured_peaks(peaks)))
}

/// What goes between devices, if the steps run on several.
fn copied(bytes: u64, steps: &[StepProfile]) -> String {
    let mut devices: Vec<&str> = steps.iter().map(|step| step.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    match devices.as_slice() {
        [] | [_] => String::new(),
        several => format!("{} copied between {} in each run\n", format::bytes(bytes), several.join(" and ")),
    }
}

/// The part of the peak that a step reaches, where the device has one; more than 1 where its data stays in caches.
fn fraction(step: &StepProfile, peaks: Option<Peaks>) -> Option<f64> {
    Some(peaks?.least_seconds(step.flops, step.bytes) / step.seconds.max(1e-9))
}

fn cells(index: usize, step: &StepProfile, total: f64, peaks: Option<Peaks>) -> Vec<String> {
    let seconds = step.seconds.max(1e-9);
    vec![
        index.to_string(),
        format!("{:.4}", step.seconds * 1e3),
        format!("{:.1}", 100.0 * step.seconds / total.max(1e-12)),
        format!("{:.2}", step.flops as f64 / seconds / 1e9),
        format!("{:.2}", step.bytes as f64 / seconds / 1e9),
        percent(fraction(step, peaks)),
        step.device.clone(),
        step.kernel.clone(),
        shorten(&step.nodes),
    ]
}

fn shorten(nodes: &[String]) -> String {
    match nodes {
        [] => String::new(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}

fn step_json(step: &StepProfile, peaks: Option<Peaks>) -> Value {
    json!({
        "label": step.label,
        "kernel": step.kernel,
        "device": step.device,
        "nodes": step.nodes,
        "ms": step.seconds * 1e3,
        "flops": step.flops,
        "bytes": step.bytes,
        "peak_fraction": fraction(step, peaks),
    })
}
