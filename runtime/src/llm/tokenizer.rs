//! Text to tokens and back.

use crate::RuntimeError;
use crate::llm::TextStream;
use lostwax_format::FormatError;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The tokenizer of a language model.
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads a `tokenizer.json`. Its truncation and padding settings are ignored.
    ///
    /// # Errors
    /// [`RuntimeError::Artifact`] if it is none.
    pub fn from_json(json: &[u8]) -> Result<Self, RuntimeError> {
        let invalid = |problem: String| FormatError::Invalid { section: "tokenizer.json".into(), problem };
        let parsed = caught(|| tokenizers::Tokenizer::from_bytes(json).map_err(|error| error.to_string()));
        let mut tokenizer = parsed.map_err(invalid)?;
        tokenizer.with_truncation(None).map_err(|error| invalid(error.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self(tokenizer))
    }

    /// Sets whether special tokens in texts are treated as plain text; by default they are parsed.
    pub fn set_plain(&mut self, plain: bool) {
        self.0.set_encode_special_tokens(plain);
    }

    /// The tokens of a text. `special` adds those that the tokenizer puts around every text. Names of special tokens in the text
    /// become these tokens, unless [`Tokenizer::set_plain`] says otherwise.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the vocabulary cannot express the text.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, RuntimeError> {
        let encoding = caught(|| self.0.encode_fast(text, special).map_err(|error| error.to_string()));
        Ok(encoding.map_err(|problem| RuntimeError::input("text", problem))?.get_ids().to_vec())
    }

    /// The text of tokens; special tokens have none unless `special`.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if they cannot be decoded.
    pub fn decode(&self, ids: &[u32], special: bool) -> Result<String, RuntimeError> {
        let text = caught(|| self.0.decode(ids, !special).map_err(|error| error.to_string()));
        text.map_err(|problem| RuntimeError::input("tokens", problem))
    }

    /// Text that arrives token by token.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream::new(self)
    }

    /// How the vocabulary writes a token.
    pub fn token(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    /// The id of this token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// The number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.0.get_vocab_size(true)
    }
}

/// What the library gives; it panics on some damaged tokenizers, which is an error like others.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the tokenizer is damaged".to_string()))
}
