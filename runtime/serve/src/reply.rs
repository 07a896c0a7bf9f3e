//! Replies, whole or streamed.

use super::error::ApiError;
use super::queue::Event;
use super::state::{State, now, random};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use lostwax_runtime::llm::{FinishReason, Timings};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

/// What ends a stream of chunks.
const DONE: &str = "[DONE]";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Chat,
    /// Plain text.
    Completion,
}

impl Kind {
    fn id(self) -> String {
        let prefix = if self == Self::Chat { "chatcmpl" } else { "cmpl" };
        format!("{prefix}-{:016x}", random())
    }

    fn object(self, is_chunk: bool) -> &'static str {
        match (self, is_chunk) {
            (Self::Chat, false) => "chat.completion",
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Completion, _) => "text_completion",
        }
    }

    fn whole(self, text: &str, reason: &str) -> Value {
        match self {
            Self::Chat => {
                let message = json!({ "role": "assistant", "content": text });
                json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": reason })
            }
            Self::Completion => json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason }),
        }
    }

    fn part(self, text: &str, reason: Option<&str>) -> Value {
        match self {
            Self::Chat => {
                let delta = if reason.is_some() { json!({}) } else { json!({ "content": text }) };
                json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason })
            }
            Self::Completion => json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason }),
        }
    }
}

/// A text on its way to a client. Dropping it stops the text.
pub struct Reply {
    kind: Kind,
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    events: UnboundedReceiver<Event>,
    deadline: Instant,
    is_over: bool,
}

impl Reply {
    pub fn new(kind: Kind, include_usage: bool, events: UnboundedReceiver<Event>, state: &State) -> Self {
        let (id, created, model) = (kind.id(), now(), state.name.clone());
        let deadline = Instant::now() + state.settings.timeout;
        Self { kind, id, created, model, include_usage, events, deadline, is_over: false }
    }

    /// The whole text.
    pub async fn whole(mut self) -> Result<Value, ApiError> {
        let mut text = String::new();
        loop {
            match self.next().await {
                Event::Text(piece) => text += &piece,
                Event::Failed(error) => return Err(error),
                Event::End { finish_reason, timings } => {
                    let mut reply = self.envelope(false, json!([self.kind.whole(&text, reason_name(&finish_reason))]));
                    insert(&mut reply, "usage", usage(&timings));
                    return Ok(reply);
                }
            }
        }
    }

    /// The text as server-sent events, each a chunk in JSON.
    pub fn stream(self) -> Response {
        let chunks = stream::unfold((self.first(), self), next_chunk);
        Sse::new(chunks).keep_alive(KeepAlive::default()).into_response()
    }

    /// What happens next, or that time is over.
    async fn next(&mut self) -> Event {
        let event = match timeout_at(self.deadline, self.events.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => Event::Failed(ApiError::stopping()),
            Err(_) => Event::Failed(ApiError::timeout()),
        };
        self.is_over = !matches!(event, Event::Text(_));
        event
    }

    fn envelope(&self, is_chunk: bool, choices: Value) -> Value {
        let Self { kind, id, created, model, .. } = self;
        json!({ "id": id, "object": kind.object(is_chunk), "created": created, "model": model, "choices": choices })
    }

    /// The chunks before the text.
    fn first(&self) -> VecDeque<String> {
        let delta = json!({ "role": "assistant", "content": "" });
        let choice = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]);
        let role = (self.kind == Kind::Chat).then(|| self.envelope(true, choice).to_string());
        role.into_iter().collect()
    }

    /// The chunks for an event.
    fn chunks(&self, event: Event) -> Vec<String> {
        let part = |text: &str, reason| self.envelope(true, json!([self.kind.part(text, reason)])).to_string();
        match event {
            Event::Text(text) => vec![part(&text, None)],
            Event::Failed(error) => vec![error.json().to_string()],
            Event::End { finish_reason, timings } => {
                let mut chunks = vec![part("", Some(reason_name(&finish_reason)))];
                if self.include_usage {
                    let mut last = self.envelope(true, json!([]));
                    insert(&mut last, "usage", usage(&timings));
                    chunks.push(last.to_string());
                }
                chunks.push(DONE.to_string());
                chunks
            }
        }
    }
}

type Chunks = (VecDeque<String>, Reply);

async fn next_chunk((mut ready, mut reply): Chunks) -> Option<(Result<sse::Event, Infallible>, Chunks)> {
    while ready.is_empty() && !reply.is_over {
        let event = reply.next().await;
        ready.extend(reply.chunks(event));
    }
    let chunk = ready.pop_front()?;
    Some((Ok(sse::Event::default().data(chunk)), (ready, reply)))
}

fn insert(value: &mut Value, name: &str, field: Value) {
    if let Some(map) = value.as_object_mut() {
        map.insert(name.to_string(), field);
    }
}

fn reason_name(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::EndOfText | FinishReason::StopString(_) => "stop",
        FinishReason::MaxTokens | FinishReason::ContextFull | FinishReason::Cancelled => "length",
    }
}

fn usage(timings: &Timings) -> Value {
    let (prompt, generated) = (timings.prompt_tokens + timings.cached_tokens, timings.generated_tokens);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": { "cached_tokens": timings.cached_tokens },
    })
}
