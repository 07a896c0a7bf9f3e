//! Where the time of a language model goes, by kernel.

use super::{percent, work::WorkCounter};
use crate::error::CliError;
use crate::table::Table;
use lostwax_runtime::StepProfile;
use lostwax_runtime::api::Peaks;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Runs of which means are taken.
const RUNS: usize = 10;

/// The steps of one kernel together.
#[derive(Default)]
struct Kernel {
    steps: usize,
    seconds: f64,
    flops: u64,
    bytes: u64,
}

/// The kernels of one entry point by the time that they take.
pub struct Kernels {
    entry_point: &'static str,
    kernels: Vec<(String, Kernel)>,
}

impl Kernels {
    /// Measures the run of `tokens` tokens with `past` before them.
    pub fn measure(counter: &mut WorkCounter, entry_point: &'static str, past: usize, tokens: usize) -> Result<Self, CliError> {
        let steps = counter.steps(entry_point, past, tokens, RUNS)?;
        let mut kernels: BTreeMap<String, Kernel> = BTreeMap::new();
        for StepProfile { kernel, seconds, flops, bytes, .. } in steps {
            let sum = kernels.entry(kernel).or_default();
            sum.steps += 1;
            sum.seconds += seconds;
            sum.flops += flops;
            sum.bytes += bytes;
        }
        let mut kernels: Vec<_> = kernels.into_iter().collect();
        kernels.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        Ok(Self { entry_point, kernels })
    }

    /// A table.
    pub fn text(&self, peaks: Option<Peaks>) -> String {
        let total: f64 = self.kernels.iter().map(|(_, kernel)| kernel.seconds).sum();
        let mut table = Table::new(&["steps", "ms", "% time", "GFLOP/s", "GB/s", "% peak", "kernel"]);
        for (name, kernel) in &self.kernels {
            let seconds = kernel.seconds.max(1e-9);
            table.row([
                kernel.steps.to_string(),
                format!("{:.3}", kernel.seconds * 1e3),
                format!("{:.1}", 100.0 * kernel.seconds / total.max(1e-12)),
                format!("{:.1}", kernel.flops as f64 / seconds / 1e9),
                format!("{:.1}", kernel.bytes as f64 / seconds / 1e9),
                percent(kernel.fraction(peaks)),
                name.clone(),
            ]);
        }
        format!("\n{} in {:.3} ms\n{table}", self.entry_point, total * 1e3)
    }

    /// The same for programs.
    pub fn json(&self, peaks: Option<Peaks>) -> Value {
        let kernel = |(name, kernel): &(String, Kernel)| {
            json!({
                "kernel": name,
                "steps": kernel.steps,
                "ms": kernel.seconds * 1e3,
                "flops": kernel.flops,
                "bytes": kernel.bytes,
                "peak_fraction": kernel.fraction(peaks),
            })
        };
        json!({ "entry_point": self.entry_point, "kernels": self.kernels.iter().map(kernel).collect::<Vec<_>>() })
    }
}

impl Kernel {
    /// The part of the peak that is reached, where the device has one; more than 1 where data stays in caches.
    fn fraction(&self, peaks: Option<Peaks>) -> Option<f64> {
        Some(peaks?.least_seconds(self.flops, self.bytes) / self.seconds.max(1e-9))
    }
}
