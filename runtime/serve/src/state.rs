//! What all requests share.

use super::error::ApiError;
use super::metrics::Metrics;
use super::queue::{Job, Queue};
use super::settings::{EmbedFn, Settings};
use lostwax_runtime::llm::Language;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The model, the queue and the counters.
pub struct State {
    pub name: String,
    pub language: Language,
    /// The maximum number of tokens of a text; none if the model generates no text.
    context_length: Option<usize>,
    embed: Option<Mutex<EmbedFn>>,
    pub settings: Settings,
    pub queue: Queue,
    pub metrics: Metrics,
    pub created: u64,
}

impl State {
    pub fn new(
        name: String,
        language: Language,
        context_length: Option<usize>,
        embed: Option<EmbedFn>,
        settings: Settings,
    ) -> Self {
        let (queue, embed) = (Queue::new(settings.queue_length), embed.map(Mutex::new));
        Self { name, language, context_length, embed, settings, queue, metrics: Metrics::default(), created: now() }
    }

    /// Hands a job to the decoders.
    pub fn submit(&self, job: Job) -> Result<(), ApiError> {
        let limit = self.context_length.ok_or_else(|| self.cannot("cannot generate text", "/v1/embeddings"))?;
        let known = self.language.description().vocabulary_size;
        if let Some(token) = job.prompt.iter().find(|token| **token >= known) {
            return Err(ApiError::invalid(format!("there is no token {token}; the model has {known}"), Some("prompt")));
        }
        match job.prompt.len() {
            0 => Err(ApiError::invalid("the prompt has no tokens", Some("prompt"))),
            needed if needed > limit => Err(ApiError::context_length(needed, limit)),
            _ => self.queue.push(job),
        }
    }

    /// The vector of a text.
    pub fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, ApiError> {
        let embed = self.embed.as_ref().ok_or_else(|| self.cannot("cannot embed texts", "/v1/chat/completions"))?;
        let mut embed = embed.lock().unwrap_or_else(PoisonError::into_inner);
        embed(tokens).map_err(ApiError::from)
    }

    fn cannot(&self, what: &str, instead: &str) -> ApiError {
        ApiError::unsupported(&format!("the model `{}` {what}; use {instead}", self.name), Some("model"))
    }
}

/// Runs long work outside the thread that serves HTTP.
pub async fn run_blocking<T: Send + 'static>(
    state: &Arc<State>,
    work: impl FnOnce(&State) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let state = Arc::clone(state);
    let result = tokio::task::spawn_blocking(move || work(&state)).await;
    result.unwrap_or_else(|error| Err(ApiError::internal(&error.to_string())))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A random number.
pub fn random() -> u64 {
    RandomState::new().hash_one(now())
}
