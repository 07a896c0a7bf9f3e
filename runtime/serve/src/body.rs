//! Requests from bytes.

use super::error::ApiError;
use super::state::State;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Bytes beyond the limit that are read and discarded, since a client that is cut off while sending never sees the reply.
const MAX_DRAINED_BYTES: usize = 64 << 20;

/// How long a client may take to send a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body; the `Content-Type` header is ignored.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<State>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, ApiError> {
        let read = read(request.into_body(), state.settings.body_limit);
        let bytes = tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| ApiError::timeout())??;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ApiError::invalid(format!("the request is not valid: {error}"), None))
    }
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let (mut stream, mut bytes, mut length) = (body.into_data_stream(), Vec::new(), 0usize);
    while let Some(chunk) = stream.next().await {
        let chunk: Bytes = chunk.map_err(|error| ApiError::invalid(format!("the request body ended early: {error}"), None))?;
        length = length.saturating_add(chunk.len());
        if length > limit.saturating_add(MAX_DRAINED_BYTES) {
            break;
        }
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > limit { Err(ApiError::too_large(limit)) } else { Ok(bytes) }
}
