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
mod server;
mod settings;
mod state;

pub use program::{ServeArgs, ServeError};
pub use server::Server;
pub use settings::{EmbedFn, Service, Settings};
