//! From a text to a vector.

use crate::llm::decoder::no_language_model;
use crate::{Device, Model, Options, Outputs, RuntimeError, Session, TensorView};
use lostwax_format::FormatError;

/// The entry point.
const EMBED: &str = "embed";

const TOKENS: &str = "tokens";
const EMBEDDING: &str = "embedding";

/// A compiled encoder: texts with similar meanings get similar vectors.
pub struct Embedder {
    session: Session,
    outputs: Outputs,
    vocabulary: usize,
    context: usize,
    ids: Vec<i32>,
}

impl Embedder {
    /// Makes an embedder of an artifact with the entry point `embed`, which takes `tokens: i32[sequence]` and gives
    /// `embedding: f32[hidden]`, already pooled and of length 1.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the artifact is not an encoder, and what a session reports.
    pub fn open(model: &Model, device: impl Into<Device>, options: Options) -> Result<Self, RuntimeError> {
        let language = model.artifact().language_model();
        let language = language.ok_or_else(|| no_language_model(model, "it has no tokenizer"))?;
        if !Self::is_encoder(model) {
            let problem = "cannot embed texts: it has no entry point `embed`; compile an encoder, such as all-MiniLM-L6-v2";
            return Err(RuntimeError::input(format!("model `{}`", model.name()), problem));
        }
        Ok(Self {
            session: model.session_with(device, options.with_entry_point(EMBED))?,
            outputs: Outputs::new(),
            vocabulary: language.vocabulary_size as usize,
            context: language.context_length as usize,
            ids: Vec::new(),
        })
    }

    /// Whether [`Embedder::open`] takes the model.
    pub fn is_encoder(model: &Model) -> bool {
        model.artifact().language_model().is_some() && model.entry_points().iter().any(|entry| entry.name == EMBED)
    }

    /// The largest number of tokens in a text.
    pub fn context_length(&self) -> usize {
        self.context
    }

    /// The vector of a text of these tokens, as [`crate::llm::Language::encode_prompt`] gives them.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there are no tokens or unknown ones, [`RuntimeError::ContextFull`] if there are too many,
    /// and what a run reports.
    pub fn embed(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError> {
        self.check(tokens)?;
        self.ids.clear();
        self.ids.extend(tokens.iter().map(|token| *token as i32));
        let shape = [tokens.len()];
        self.session.run_into(&[(TOKENS, TensorView::new(&self.ids, &shape)?)], &mut self.outputs)?;
        let missing =
            || FormatError::Invalid { section: format!("output `{EMBEDDING}`"), problem: "there is no such output".into() };
        self.outputs.get(EMBEDDING).ok_or_else(missing)?.view::<f32>()
    }

    fn check(&self, tokens: &[u32]) -> Result<(), RuntimeError> {
        let (needed, limit) = (tokens.len(), self.context);
        if needed > limit {
            return Err(RuntimeError::ContextFull { needed, limit });
        }
        match tokens.iter().find(|token| **token as usize >= self.vocabulary) {
            Some(token) => {
                Err(RuntimeError::input("tokens", format!("there is no token {token}; the model has {}", self.vocabulary)))
            }
            None if tokens.is_empty() => Err(RuntimeError::input("text", "it has no tokens")),
            None => Ok(()),
        }
    }
}

/// The cosine of the angle between two vectors: 1 for the same direction, 0 if orthogonal. For vectors of different lengths or
/// without a direction it is 0.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if a.len() != b.len() || norms == 0.0 { 0.0 } else { (dot(a, b) / norms) as f32 }
}
