use crate::RuntimeError;
use crate::llm::Tokenizer;

/// The longest run of tokens that may belong to one character.
const PENDING: usize = 8;

/// The character that stands for bytes which are not UTF-8, such as half a character.
const BROKEN: char = '\u{fffd}';

/// Turns tokens into text as they arrive, and holds back what may not be a complete character yet.
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
        let text = match self.pending()? {
            Some(text) if !text.ends_with(BROKEN) => text,
            _ if self.ids.len() - self.given < PENDING => return Ok(String::new()),
            _ => return self.flush(),
        };
        self.ids.drain(..self.given);
        self.given = self.ids.len();
        Ok(text)
    }

    /// What was held back.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn flush(&mut self) -> Result<String, RuntimeError> {
        let text = match self.pending()? {
            Some(text) => text,
            None => self.tokenizer.decode(self.ids.get(self.given..).unwrap_or_default(), false)?,
        };
        self.ids.clear();
        self.given = 0;
        Ok(text)
    }

    /// The text of all tokens beyond what was emitted, since the text of a token may depend on the one before. `None` if emitted
    /// text would change, as with an incomplete character.
    fn pending(&self) -> Result<Option<String>, RuntimeError> {
        let before = self.tokenizer.decode(self.ids.get(..self.given).unwrap_or_default(), false)?;
        let all = self.tokenizer.decode(&self.ids, false)?;
        Ok(all.strip_prefix(&before).map(str::to_owned))
    }
}
