use crate::RuntimeError;
use crate::llm::Tokenizer;

/// The longest run of tokens that may belong to one character.
const PENDING: usize = 8;

/// The character that stands for bytes which are not UTF-8, such as half a character.
const BROKEN: char = '\u{fffd}';

/// Turns tokens into text as they come, and holds back what may not be a whole character yet.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens that were given out as text, and those that were not.
    ids: Vec<u32>,
    given: usize,
}

impl<'a> TextStream<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), given: 0 }
    }

    /// The text that is complete with this token; empty while a character is not.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<String, RuntimeError> {
        self.ids.push(id);
        let text = self.pending()?;
        let waits = text.ends_with(BROKEN) && self.ids.len() - self.given < PENDING;
        if waits {
            return Ok(String::new());
        }
        self.ids.drain(..self.given);
        self.given = self.ids.len();
        Ok(text)
    }

    /// What was held back.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(&mut self) -> Result<String, RuntimeError> {
        let text = self.pending();
        self.ids.clear();
        self.given = 0;
        text
    }

    /// What all tokens give beyond those that were given out: how a token is written may depend on the one before.
    fn pending(&self) -> Result<String, RuntimeError> {
        let before = self.tokenizer.decode(self.ids.get(..self.given).unwrap_or_default(), false)?;
        let all = self.tokenizer.decode(&self.ids, false)?;
        Ok(all.get(before.len()..).unwrap_or_default().to_owned())
    }
}
