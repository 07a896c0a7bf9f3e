//! Requests.

use super::error::ApiError;
use super::state::{State, random};
use lostwax_runtime::llm::{Language, Message, Sampler, Sampling};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The default maximum number of tokens of a completion, as in OpenAI's API.
const COMPLETION_TOKENS: usize = 16;

/// The maximum number of stop strings.
const MOST_STOPS: usize = 16;

/// The maximum number of texts in one request for embeddings, as in OpenAI's API.
const MOST_TEXTS: usize = 2048;

/// Unsupported request fields; they are accepted only with their neutral value.
const UNSUPPORTED: &[&str] = &[
    "audio",
    "best_of",
    "dimensions",
    "echo",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "n",
    "presence_penalty",
    "response_format",
    "suffix",
    "tools",
    "top_logprobs",
];

/// `POST /v1/chat/completions`.
#[derive(Deserialize)]
pub struct ChatRequest {
    messages: Vec<ChatMessage>,
    #[serde(flatten)]
    pub parameters: Parameters,
}

impl ChatRequest {
    /// The tokens of the conversation.
    pub fn tokens(&self, language: &Language) -> Result<Vec<u32>, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::invalid("there must be at least one message", Some("messages")));
        }
        let messages = self.messages.iter().map(ChatMessage::message).collect::<Result<Vec<Message>, ApiError>>()?;
        Ok(language.encode_chat(&messages)?)
    }
}

/// `POST /v1/completions`.
#[derive(Deserialize)]
pub struct CompletionRequest {
    prompt: Texts,
    #[serde(flatten)]
    pub parameters: Parameters,
}

impl CompletionRequest {
    /// The tokens of the prompt.
    pub fn tokens(&self, language: &Language) -> Result<Vec<u32>, ApiError> {
        let mut prompts = self.prompt.tokens(language)?.into_iter();
        match (prompts.next(), prompts.next()) {
            (Some(prompt), None) => Ok(prompt),
            _ => Err(ApiError::unsupported("a request must have one prompt; send several requests at once", Some("prompt"))),
        }
    }
}

/// `POST /v1/embeddings`.
#[derive(Deserialize)]
pub struct EmbeddingRequest {
    input: Texts,
    encoding_format: Option<Encoding>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// How numbers of vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    #[default]
    Float,
    Base64,
}

impl EmbeddingRequest {
    /// The tokens of the texts, and how their vectors are written.
    pub fn tokens(&self, language: &Language) -> Result<(Vec<Vec<u32>>, Encoding), ApiError> {
        check_supported(&self.rest)?;
        let texts = self.input.tokens(language)?;
        if texts.is_empty() || texts.len() > MOST_TEXTS {
            let problem = format!("there are {} texts; 1 to {MOST_TEXTS} are allowed", texts.len());
            return Err(ApiError::invalid(problem, Some("input")));
        }
        Ok((texts, self.encoding_format.unwrap_or_default()))
    }
}

#[derive(Deserialize)]
struct ChatMessage {
    role: String,
    content: Option<Content>,
}

impl ChatMessage {
    fn message(&self) -> Result<Message, ApiError> {
        let role = if self.role == "developer" { "system" } else { &self.role };
        Ok(Message::new(role, self.content.as_ref().map_or_else(|| Ok(String::new()), Content::text)?))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "content must be a text or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    r#type: String,
    text: Option<String>,
}

impl Content {
    fn text(&self) -> Result<String, ApiError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Parts(parts) => parts.iter().map(ContentPart::text).collect(),
        }
    }
}

impl ContentPart {
    fn text(&self) -> Result<&str, ApiError> {
        let problem = || {
            ApiError::unsupported(
                &format!("a message has a part of type `{}`; only text is supported", self.r#type),
                Some("messages"),
            )
        };
        self.text.as_deref().ok_or_else(problem)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "it must be a text, a list of texts, a list of tokens or a list of lists of tokens")]
enum Texts {
    One(String),
    Many(Vec<String>),
    OneOfTokens(Vec<u32>),
    ManyOfTokens(Vec<Vec<u32>>),
}

impl Texts {
    fn tokens(&self, language: &Language) -> Result<Vec<Vec<u32>>, ApiError> {
        let encode = |texts: &[String]| texts.iter().map(|text| Ok(language.encode_prompt(text)?)).collect();
        match self {
            Self::One(text) => encode(std::slice::from_ref(text)),
            Self::Many(texts) => encode(texts),
            Self::OneOfTokens(tokens) => Ok(vec![tokens.clone()]),
            Self::ManyOfTokens(lists) => Ok(lists.clone()),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "stop must be a text or a list of texts")]
enum Stops {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The sampling and streaming parameters of completions.
#[derive(Deserialize)]
pub struct Parameters {
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: Option<i64>,
    stop: Option<Stops>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Parameters with all defaults filled in.
pub struct Resolved {
    pub is_stream: bool,
    pub include_usage: bool,
    pub max_tokens: Option<usize>,
    pub sampling: Sampling,
    pub stop: Vec<String>,
}

impl Parameters {
    /// Fills in the defaults of the model.
    pub fn resolve(self, state: &State) -> Result<Resolved, ApiError> {
        check_supported(&self.rest)?;
        let sampling = self.sampling(state.language.sampling())?;
        Ok(Resolved {
            is_stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            sampling,
            stop: self.stop.map_or_else(|| Ok(Vec::new()), Stops::list)?,
        })
    }

    fn sampling(&self, own: Sampling) -> Result<Sampling, ApiError> {
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(own.temperature),
            top_p: self.top_p.unwrap_or(own.top_p),
            top_k: self.top_k.unwrap_or(own.top_k),
            min_p: self.min_p.unwrap_or(own.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(own.repetition_penalty),
            seed: self.seed.map_or_else(random, i64::cast_unsigned),
            ..own
        };
        Sampler::new(sampling.clone())?;
        Ok(sampling)
    }
}

impl Resolved {
    /// The same with the limit that completions have unless they say otherwise.
    pub fn for_completion(self) -> Self {
        Self { max_tokens: self.max_tokens.or(Some(COMPLETION_TOKENS)), ..self }
    }
}

impl Stops {
    fn list(self) -> Result<Vec<String>, ApiError> {
        let stops = match self {
            Self::One(stop) => vec![stop],
            Self::Many(stops) => stops,
        };
        let problem = || format!("there are {} stop strings; at most {MOST_STOPS} are allowed", stops.len());
        if stops.len() > MOST_STOPS { Err(ApiError::invalid(problem(), Some("stop"))) } else { Ok(stops) }
    }
}

/// Refuses fields that would otherwise be ignored.
fn check_supported(fields: &Map<String, Value>) -> Result<(), ApiError> {
    let wrong = UNSUPPORTED.iter().find(|name| fields.get(**name).is_some_and(|value| !is_neutral(name, value)));
    match wrong {
        Some(name) => Err(ApiError::unsupported(&format!("`{name}` is not supported with this value"), Some(name))),
        None => Ok(()),
    }
}

/// Whether a value is the neutral default.
fn is_neutral(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == neutral_number(name),
        Value::String(text) => text.is_empty() || text == "none",
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty() || *value == json!({ "type": "text" }),
    }
}

fn neutral_number(name: &str) -> Option<f64> {
    match name {
        "n" | "best_of" => Some(1.0),
        "logprobs" => None,
        _ => Some(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: Value) -> Result<(), ApiError> {
        check_supported(request.as_object().unwrap())
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let fine =
            json!({ "model": "x", "n": 1, "logprobs": false, "tools": [], "response_format": { "type": "text" }, "user": "me" });
        assert!(check(fine).is_ok());
        for wrong in
            [json!({ "n": 2 }), json!({ "logprobs": true }), json!({ "tools": [{}] }), json!({ "frequency_penalty": 0.5 })]
        {
            assert!(check(wrong).is_err());
        }
    }

    #[test]
    fn content_is_text_or_parts_of_text() {
        let message =
            |content: Value| serde_json::from_value::<ChatMessage>(json!({ "role": "developer", "content": content })).unwrap();
        assert_eq!(message(json!("a")).message().unwrap(), Message::new("system", "a"));
        let parts = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        assert_eq!(message(parts).message().unwrap().content, "ab");
        assert_eq!(message(Value::Null).message().unwrap().content, "");
        assert!(message(json!([{ "type": "image_url", "image_url": {} }])).message().is_err());
    }
}
