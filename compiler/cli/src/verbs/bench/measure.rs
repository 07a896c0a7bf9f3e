//! Times and memory of repeated runs.

use super::Args;
use crate::error::CliError;
use crate::source::LoadedModel;
use crate::tensors::views;
use lostwax_runtime::{Options, Outputs, Requirements, Session, Tensor, TensorView};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long measuring takes unless the number of runs is given.
const SPAN: Duration = Duration::from_secs(2);

const FEWEST_RUNS: usize = 10;
const MOST_RUNS: usize = 1000;

/// What was measured at one number of threads.
pub struct Measured {
    pub threads: usize,
    pub variant: String,
    pub load_ms: f64,
    pub first_ms: f64,
    pub median_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub iters: usize,
    pub peak_rss_bytes: Option<u64>,
    pub requirements: Requirements,
    /// The steps, if they were measured one by one.
    pub profile: Option<Value>,
}

impl Measured {
    pub fn json(&self) -> Value {
        let mut json = json!({
            "threads": self.threads,
            "variant": self.variant,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
            "p99_ms": self.p99_ms,
            "iters": self.iters,
            "peak_rss_bytes": self.peak_rss_bytes,
            "arena_bytes": self.requirements.arena_bytes,
            "arena_lower_bound_bytes": self.requirements.arena_lower_bound_bytes,
            "weight_bytes": self.requirements.weight_bytes,
        });
        if let (Some(profile), Some(map)) = (&self.profile, json.as_object_mut()) {
            map.insert("profile".to_string(), profile.clone());
        }
        json
    }
}

/// Runs a model in a new session: once, then some times unmeasured, then measured.
pub fn measure(args: &Args, opened: &LoadedModel, inputs: &[(String, Tensor)], threads: usize) -> Result<Measured, CliError> {
    let inputs = views(inputs);
    let start = Instant::now();
    let mut session = opened.model.session_with(args.device.device(&opened.model)?, Options::new().with_threads(threads))?;
    let load_ms = milliseconds(opened.load + start.elapsed());
    let mut outputs = Outputs::new();
    let first_ms = timed(&mut session, &inputs, &mut outputs)?;
    for _ in 0..args.warmup {
        timed(&mut session, &inputs, &mut outputs)?;
    }
    let times = steady(args.iters, || timed(&mut session, &inputs, &mut outputs))?;
    let shapes: Vec<&[usize]> = inputs.iter().map(|(_, view)| view.shape()).collect();
    Ok(Measured {
        threads,
        variant: session.variant().to_string(),
        load_ms,
        first_ms,
        median_ms: percentile(&times, 50),
        p90_ms: percentile(&times, 90),
        p99_ms: percentile(&times, 99),
        iters: times.len(),
        peak_rss_bytes: peak_rss_bytes(),
        requirements: session.prepare(&shapes)?.clone(),
        profile: None,
    })
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn timed(session: &mut Session, inputs: &[(&str, TensorView<'_>)], outputs: &mut Outputs) -> Result<f64, CliError> {
    let start = Instant::now();
    session.run_into(inputs, outputs)?;
    Ok(milliseconds(start.elapsed()))
}

/// The times of all measured runs, sorted.
fn steady(iters: Option<usize>, mut run: impl FnMut() -> Result<f64, CliError>) -> Result<Vec<f64>, CliError> {
    let (start, mut times) = (Instant::now(), Vec::new());
    let is_enough = |done: usize| match iters {
        Some(iters) => done >= iters.max(1),
        None => done >= FEWEST_RUNS && (done >= MOST_RUNS || start.elapsed() >= SPAN),
    };
    while !is_enough(times.len()) {
        times.push(run()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// A percentile of sorted values, by nearest rank.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

/// The maximum memory that this process had in use, where the system tells.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_measured_values() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!([50, 90, 99].map(|percent| percentile(&values, percent)), [5.0, 9.0, 10.0]);
        assert_eq!(percentile(&[3.0], 50), 3.0);
    }
}
