//! The work in the runs of a language model.

use super::language::CHUNK;
use crate::error::CliError;
use crate::settings::DeviceArgs;
use lostwax_runtime::llm::RECENT;
use lostwax_runtime::{Model, Options, Session, StepProfile, TensorView};

/// Arithmetic operations and bytes that are read and written.
#[derive(Clone, Copy, Default)]
pub struct Work {
    pub flops: u64,
    pub bytes: u64,
}

/// Counts the work of runs.
pub struct WorkCounter {
    session: Session,
}

impl WorkCounter {
    /// A counter for runs with a number of threads.
    pub fn new(model: &Model, device: &DeviceArgs, threads: usize) -> Result<Self, CliError> {
        Ok(Self { session: model.session_with(device.device(model)?, Options::new().with_threads(threads))? })
    }

    /// The variant whose code runs.
    pub fn variant(&self) -> &str {
        self.session.variant()
    }

    /// The work of a prompt.
    pub fn prefill(&mut self, tokens: usize) -> Result<Work, CliError> {
        let mut sum = Work::default();
        for past in (0..tokens).step_by(CHUNK) {
            let work = self.run("prefill", past, CHUNK.min(tokens - past))?;
            (sum.flops, sum.bytes) = (sum.flops + work.flops, sum.bytes + work.bytes);
        }
        Ok(sum)
    }

    /// The work of tokens one by one: all are counted as the one in the middle.
    pub fn decode(&mut self, tokens: usize) -> Result<Work, CliError> {
        let Work { flops, bytes } = self.run("decode", tokens / 2, 1)?;
        Ok(Work { flops: flops * tokens as u64, bytes: bytes * tokens as u64 })
    }

    /// The same of several texts together, for the tokens of each.
    pub fn batch(&mut self, tokens: usize, texts: usize) -> Result<Work, CliError> {
        let Work { flops, bytes } = self.run("batch", tokens / 2, texts)?;
        Ok(Work { flops: flops * tokens as u64, bytes: bytes * tokens as u64 })
    }

    /// Says how many tokens the cache holds of the first text, or of each.
    fn bind(&mut self, past: i64, tokens: i64) -> Result<(), CliError> {
        for symbol in self.session.model().symbols() {
            let name = symbol.name.split('_').next().unwrap_or_default();
            match name {
                "past" => self.session.bind(&symbol.name, past)?,
                RECENT => self.session.bind(&symbol.name, past.min(symbol.max - tokens))?,
                "slot" => self.session.bind(&symbol.name, 0)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The work of one run.
    fn run(&mut self, entry_point: &str, past: usize, tokens: usize) -> Result<Work, CliError> {
        let steps = self.steps(entry_point, past, tokens, 0)?;
        let sum = |part: fn(&StepProfile) -> u64| steps.iter().map(part).sum();
        Ok(Work { flops: sum(|step| step.flops), bytes: sum(|step| step.bytes) })
    }

    /// The steps that a number of tokens take, by the entry point that there is.
    pub fn steps(&mut self, entry_point: &str, past: usize, tokens: usize, runs: usize) -> Result<Vec<StepProfile>, CliError> {
        let names: Vec<String> = self.session.model().entry_points().into_iter().map(|entry| entry.name).collect();
        let other = if entry_point == "prefill" { "decode" } else { "prefill" };
        let name = if names.iter().any(|name| name == entry_point) { entry_point } else { other };
        self.session.set_entry_point(name)?;
        self.bind(past as i64, tokens as i64)?;
        let ids = vec![0i32; if name == "decode" { 1 } else { tokens }];
        let mut steps = self.session.profile(&[("tokens", TensorView::new(&ids, &[ids.len()])?)], runs)?;
        let scale = tokens / ids.len();
        for step in &mut steps {
            (step.flops, step.bytes, step.seconds) =
                (step.flops * scale as u64, step.bytes * scale as u64, step.seconds * scale as f64);
        }
        Ok(steps)
    }
}
