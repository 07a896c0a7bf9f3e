//! Errors as OpenAI's API reports them.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lostwax_runtime::RuntimeError;
use serde_json::{Value, json};

/// Seconds after which a client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request is not answered.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code: None }
    }

    fn client(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// An invalid request; `param` is the field.
    pub fn invalid(message: impl Into<String>, param: Option<&str>) -> Self {
        Self { param: param.map(str::to_string), ..Self::client(StatusCode::BAD_REQUEST, message) }
    }

    /// A request for something that this server or model cannot do.
    pub fn unsupported(message: &str, param: Option<&str>) -> Self {
        Self::invalid(message, param).with_code("unsupported")
    }

    /// A prompt that is too long.
    pub fn context_length(needed: usize, limit: usize) -> Self {
        let message = format!("the prompt has {needed} tokens, but the context length is {limit}; shorten it");
        Self::invalid(message, None).with_code("context_length_exceeded")
    }

    /// A key that is missing or wrong.
    pub fn wrong_key() -> Self {
        let message = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`";
        Self::client(StatusCode::UNAUTHORIZED, message).with_code("invalid_api_key")
    }

    /// A request of too many bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::client(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body has more than {limit} bytes"))
    }

    /// A path or model that does not exist.
    pub fn not_found(what: &str) -> Self {
        Self::client(StatusCode::NOT_FOUND, format!("there is no {what}")).with_code("not_found")
    }

    /// A path that does not support the method.
    pub fn wrong_method() -> Self {
        Self::client(StatusCode::METHOD_NOT_ALLOWED, "this path does not support this method")
    }

    /// A queue without room.
    pub fn busy(limit: usize) -> Self {
        let message = format!("{limit} requests are already waiting; try again later");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message).with_code("queue_full")
    }

    /// A server that is shutting down.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "the server is stopping").with_code("stopping")
    }

    /// A request that took too long.
    pub fn timeout() -> Self {
        let message = "the request took too long; ask for fewer tokens, or start the server with a longer --timeout";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", message).with_code("timeout")
    }

    /// A failure that the client cannot fix.
    pub fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// The body of the reply.
    pub fn json(&self) -> Value {
        let Self { message, kind, param, code, .. } = self;
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }

    fn headers(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        }
    }
}

impl From<RuntimeError> for ApiError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::InvalidInput { .. } => Self::invalid(error.to_string(), None),
            RuntimeError::ContextFull { needed, limit } => Self::context_length(needed, limit),
            error => Self::internal(&error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        response.headers_mut().extend(self.headers());
        response
    }
}
