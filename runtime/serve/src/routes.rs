//! Paths and what they do.

use super::api::{ChatRequest, CompletionRequest, EmbeddingRequest, Encoding, Resolved};
use super::body::JsonBody;
use super::error::ApiError;
use super::metrics::CONTENT_TYPE;
use super::queue::Job;
use super::reply::{Kind, Reply};
use super::state::{State, run_blocking};
use axum::extract::{MatchedPath, Path, Request, State as Shared};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::mpsc::unbounded_channel;

/// All paths. If there is a key, all but `/health` require it.
pub fn router(state: Arc<State>) -> Router {
    let guarded = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(complete))
        .route("/v1/embeddings", post(embed))
        .route("/v1/models", get(models))
        .route("/v1/models/{name}", get(model))
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), authorize));
    let open = Router::new().route("/health", get(health));
    let all = guarded.merge(open).fallback(nowhere).method_not_allowed_fallback(async || ApiError::wrong_method());
    all.layer(middleware::from_fn_with_state(Arc::clone(&state), count)).with_state(state)
}

async fn chat(Shared(state): Shared<Arc<State>>, JsonBody(request): JsonBody<ChatRequest>) -> Result<Response, ApiError> {
    let (prompt, resolved) =
        run_blocking(&state, |state| Ok((request.tokens(&state.language)?, request.parameters.resolve(state)?))).await?;
    answer(&state, Kind::Chat, prompt, resolved).await
}

async fn complete(
    Shared(state): Shared<Arc<State>>,
    JsonBody(request): JsonBody<CompletionRequest>,
) -> Result<Response, ApiError> {
    let (prompt, resolved) =
        run_blocking(&state, |state| Ok((request.tokens(&state.language)?, request.parameters.resolve(state)?))).await?;
    answer(&state, Kind::Completion, prompt, resolved.for_completion()).await
}

/// Queues a text and hands it to the client as it comes.
async fn answer(state: &State, kind: Kind, prompt: Vec<u32>, resolved: Resolved) -> Result<Response, ApiError> {
    let Resolved { is_stream, include_usage, max_tokens, sampling, stop } = resolved;
    let (events, received) = unbounded_channel();
    let reply = Reply::new(kind, include_usage, received, state);
    state.submit(Job { prompt, max_tokens: max_tokens.unwrap_or(usize::MAX), stop, sampling, events })?;
    Ok(if is_stream { reply.stream() } else { Json(reply.whole().await?).into_response() })
}

async fn embed(
    Shared(state): Shared<Arc<State>>,
    JsonBody(request): JsonBody<EmbeddingRequest>,
) -> Result<Json<Value>, ApiError> {
    run_blocking(&state, move |state| embeddings(&request, state)).await.map(Json)
}

fn embeddings(request: &EmbeddingRequest, state: &State) -> Result<Value, ApiError> {
    let (texts, encoding) = request.tokens(&state.language)?;
    let mut data = Vec::new();
    for (index, tokens) in texts.iter().enumerate() {
        let vector = state.embed(tokens)?;
        data.push(json!({ "object": "embedding", "index": index, "embedding": write_vector(&vector, encoding) }));
    }
    let tokens: usize = texts.iter().map(Vec::len).sum();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    Ok(json!({ "object": "list", "data": data, "model": state.name, "usage": usage }))
}

fn write_vector(vector: &[f32], encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => json!(vector),
        Encoding::Base64 => {
            json!(BASE64_STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
        }
    }
}

async fn models(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [describe(&state)] }))
}

async fn model(Shared(state): Shared<Arc<State>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    if name == state.name { Ok(Json(describe(&state))) } else { Err(ApiError::not_found(&format!("model `{name}`"))) }
}

fn describe(state: &State) -> Value {
    json!({ "id": state.name, "object": "model", "created": state.created, "owned_by": "lostwax" })
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Result<Response, ApiError> {
    let text = state.metrics.text(&state.queue).map_err(|error| ApiError::internal(&error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn nowhere(uri: Uri) -> ApiError {
    ApiError::not_found(&format!("path {}", uri.path()))
}

async fn authorize(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    match &state.settings.api_key {
        Some(key) if !is_key(request.headers(), key) => ApiError::wrong_key().into_response(),
        _ => next.run(request).await,
    }
}

/// Whether the client knows the key. Hashes are compared, so that the timing reveals nothing about the key.
fn is_key(headers: &HeaderMap, key: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    given.is_some_and(|given| Sha256::digest(given.trim()) == Sha256::digest(key))
}

async fn count(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let response = next.run(request).await;
    state.metrics.request(&path, response.status().as_u16());
    response
}
