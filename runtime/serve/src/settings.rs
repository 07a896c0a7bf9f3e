//! What is served, and how.

use lostwax_runtime::RuntimeError;
use lostwax_runtime::llm::{Decoder, Language};
use std::time::Duration;

/// Turns the tokens of a text into a vector.
pub type EmbedFn = Box<dyn FnMut(&[u32]) -> Result<Vec<f32>, RuntimeError> + Send>;

/// A model that is served.
pub struct Service {
    /// The name by which clients know it.
    pub name: String,
    /// Its tokenizer and template.
    pub language: Language,
    /// A decoder for each text that is generated at the same time; none if the model generates no text.
    pub decoders: Vec<Box<dyn Decoder>>,
    /// Its encoder, if it has one.
    pub embed: Option<EmbedFn>,
}

/// How a model is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The key that clients must send, if any.
    pub api_key: Option<String>,
    /// The maximum number of requests that wait for a slot.
    pub queue_length: usize,
    /// How long a request may take, waiting included.
    pub timeout: Duration,
    /// How long a connection may take to send the header of a request, keep-alive idle time included.
    pub header_timeout: Duration,
    /// The maximum size of a request in bytes.
    pub body_limit: usize,
    /// The largest number of prompt tokens that one step processes while other sequences wait.
    pub prompt_chunk: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_key: None,
            queue_length: 64,
            timeout: Duration::from_secs(600),
            header_timeout: Duration::from_secs(30),
            body_limit: 1 << 20,
            prompt_chunk: 128,
        }
    }
}
