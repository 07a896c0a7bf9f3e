//! Counters in the text format of OpenMetrics, which Prometheus reads.

use super::queue::Queue;
use lostwax_runtime::llm::Timings;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What requests are counted by.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    path: String,
    status: u16,
}

/// What the server has done.
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    prompt_tokens: Counter,
    cached_prompt_tokens: Counter,
    generated_tokens: Counter,
    cancelled: Counter,
    queue_length: Gauge,
    slots: Gauge,
    busy: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("lostwax"),
            requests: Family::default(),
            prompt_tokens: Counter::default(),
            cached_prompt_tokens: Counter::default(),
            generated_tokens: Counter::default(),
            cancelled: Counter::default(),
            queue_length: Gauge::default(),
            slots: Gauge::default(),
            busy: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        self.registry.register("requests", "Requests by path and status", self.requests.clone());
        let counters = [
            ("prompt_tokens", "Prompt tokens computed", &self.prompt_tokens),
            ("cached_prompt_tokens", "Prompt tokens reused from a KV cache", &self.cached_prompt_tokens),
            ("generated_tokens", "Generated tokens", &self.generated_tokens),
            ("cancelled", "Requests whose client disconnected", &self.cancelled),
        ];
        for (name, help, counter) in counters {
            self.registry.register(name, help, counter.clone());
        }
        let gauges = [
            ("queue_length", "Requests waiting for a slot", &self.queue_length),
            ("slots", "Requests that can be processed at the same time", &self.slots),
            ("slots_busy", "Requests in progress", &self.busy),
        ];
        for (name, help, gauge) in gauges {
            self.registry.register(name, help, gauge.clone());
        }
    }

    /// Counts an answered request.
    pub fn request(&self, path: &str, status: u16) {
        self.requests.get_or_create(&Answered { path: path.to_string(), status }).inc();
    }

    /// Counts the tokens of a completion.
    pub fn generated(&self, timings: &Timings) {
        self.prompt_tokens.inc_by(timings.prompt_tokens as u64);
        self.cached_prompt_tokens.inc_by(timings.cached_tokens as u64);
        self.generated_tokens.inc_by(timings.generated_tokens as u64);
    }

    /// Counts a request whose client disconnected.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }

    pub fn set_slots(&self, slots: usize) {
        self.slots.set(slots as i64);
    }

    pub fn set_busy(&self, busy: usize) {
        self.busy.set(busy as i64);
    }

    /// All counters and gauges.
    ///
    /// # Errors
    /// Never, as long as memory is there to write to.
    pub fn text(&self, queue: &Queue) -> Result<String, fmt::Error> {
        self.queue_length.set(queue.len() as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
