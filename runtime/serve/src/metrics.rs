//! Counters in the text format of Prometheus.

use super::queue::Queue;
use lostwax_runtime::llm::Timings;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// What the server has done.
#[derive(Default)]
pub struct Metrics {
    /// By path and status.
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    prompt_tokens: AtomicU64,
    reused_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    cancelled: AtomicU64,
    slots: AtomicU64,
    busy: AtomicU64,
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, path: &str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((path.to_string(), status)).or_default() += 1;
    }

    /// A text is complete.
    pub fn generated(&self, timings: &Timings) {
        self.prompt_tokens.fetch_add(timings.prompt_tokens as u64, Relaxed);
        self.reused_tokens.fetch_add(timings.reused_tokens as u64, Relaxed);
        self.generated_tokens.fetch_add(timings.generated_tokens as u64, Relaxed);
    }

    /// Nobody wanted a text any more.
    pub fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    pub fn set_slots(&self, slots: usize) {
        self.slots.store(slots as u64, Relaxed);
    }

    pub fn set_busy(&self, busy: usize) {
        self.busy.store(busy as u64, Relaxed);
    }

    /// All counters, and how many jobs wait.
    pub fn text(&self, queue: &Queue) -> String {
        let mut text = String::new();
        describe(&mut text, "requests_total", "counter", "Requests by path and status.");
        for ((path, status), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "lostwax_requests_total{{path=\"{path}\",status=\"{status}\"}} {count}");
        }
        let load = |value: &AtomicU64| value.load(Relaxed);
        let counters = [
            ("prompt_tokens_total", "Prompt tokens that were computed.", load(&self.prompt_tokens)),
            ("cached_prompt_tokens_total", "Prompt tokens that were in a cache.", load(&self.reused_tokens)),
            ("generated_tokens_total", "Generated tokens.", load(&self.generated_tokens)),
            ("cancelled_total", "Texts that ended because the client went away.", load(&self.cancelled)),
        ];
        counters.into_iter().for_each(|(name, help, value)| sample(&mut text, name, "counter", help, value));
        let gauges = [
            ("queue_length", "Requests that wait for a slot.", queue.len() as u64),
            ("slots", "Texts that can be generated at the same time.", load(&self.slots)),
            ("slots_busy", "Texts that are being generated.", load(&self.busy)),
        ];
        gauges.into_iter().for_each(|(name, help, value)| sample(&mut text, name, "gauge", help, value));
        text
    }
}

fn describe(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP lostwax_{name} {help}\n# TYPE lostwax_{name} {kind}");
}

fn sample(text: &mut String, name: &str, kind: &str, help: &str, value: impl Display) {
    describe(text, name, kind, help);
    let _ = writeln!(text, "lostwax_{name} {value}");
}
