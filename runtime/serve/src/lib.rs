//! Serves language models over HTTP with OpenAI's API: `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/models`, and
//! `/health` and `/metrics`.
//!
//! Two threads do the work. One speaks HTTP: it parses requests (`api`), tokenizes prompts and puts jobs into a bounded
//! queue (`queue`). The other owns the decoders (`scheduler`): each decoder is a slot for one sequence, and all active sequences advance
//! in turn by one step, so that jobs join and leave between steps and a long prompt delays others by one chunk at most
//! (continuous batching). Generated text comes back through a channel; when the client disconnects or times out, the channel closes
//! and the slot is free at the next step.

mod accept;
mod api;
mod body;
mod error;
mod metrics;
mod program;
mod queue;
mod reply;
mod routes;
mod scheduler;
mod state;

use lostwax_runtime::RuntimeError;
use lostwax_runtime::llm::{Decoder, Language};
pub use program::{ServeArgs, ServeError};
use state::State;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The time that active requests have to complete after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Turns the tokens of a text into a vector.
pub type Embed = Box<dyn FnMut(&[u32]) -> Result<Vec<f32>, RuntimeError> + Send>;

/// A model that is served.
pub struct Service {
    /// The name by which clients know it.
    pub name: String,
    /// Its tokenizer and template.
    pub language: Language,
    /// A decoder for each text that is generated at the same time; none if the model generates no text.
    pub decoders: Vec<Box<dyn Decoder>>,
    /// Its encoder, if it has one.
    pub embed: Option<Embed>,
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
    /// How long a connection may take until it has sent the head of a request, waiting for the next one included.
    pub head_timeout: Duration,
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
            head_timeout: Duration::from_secs(30),
            body_limit: 1 << 20,
            prompt_chunk: 128,
        }
    }
}

/// A server whose decoders are ready.
pub struct Server {
    state: Arc<State>,
}

impl Server {
    /// Starts the thread that owns the decoders.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(service: Service, settings: Settings) -> io::Result<Self> {
        let Service { name, language, decoders, embed } = service;
        let state =
            Arc::new(State::new(name, language, decoders.first().map(|decoder| decoder.context_length()), embed, settings));
        state.metrics.set_slots(decoders.len());
        scheduler::start(decoders, &state)?;
        Ok(Self { state })
    }

    /// Answers requests until `shutdown`. Then no new requests are accepted, and active ones have some seconds to complete.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let router = routes::router(Arc::clone(&self.state));
        let server = accept::serve(listener, router, self.state.settings.head_timeout, stopped);
        let stopping = async {
            shutdown.await;
            self.state.queue.close();
            let _ = stop.send(());
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = server => {}
            () = stopping => {}
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.queue.close();
    }
}
