//! What tokenizer and template produced when a model was compiled, and whether they still do.

use crate::RuntimeError;
use crate::llm::{Language, Message};
use lostwax_format::{TemplateMessage, TemplateSample, TokenizerSample};
use std::time::{Duration, SystemTime};

/// Seconds from 1970 to 2025: templates may write the date, which must not change what they give.
const RECORDED_AT: Duration = Duration::from_secs(1_735_689_600);

/// Something that is no longer what it was when the model was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The text, or the last message of the conversation.
    pub input: String,
    /// What was recorded: tokens, or the text of a conversation.
    pub expected: String,
    /// What it is now, or why there is nothing.
    pub found: String,
}

impl Language {
    /// What the tokenizer gives for a text, to be kept in an artifact.
    ///
    /// # Errors
    /// As [`Language::encode_prompt`].
    pub fn record_tokenizer(&self, text: &str) -> Result<TokenizerSample, RuntimeError> {
        Ok(TokenizerSample { text: text.to_string(), ids: self.encode_prompt(text)? })
    }

    /// What the template gives for a conversation, to be kept in an artifact. The time is always the first second of 2025.
    ///
    /// # Errors
    /// As [`Language::encode_chat`].
    pub fn record_template(&self, messages: &[Message]) -> Result<TemplateSample, RuntimeError> {
        let text = self.needed_template()?.render_at(SystemTime::UNIX_EPOCH + RECORDED_AT, messages, true)?;
        let described = messages.iter().map(|Message { role, content }| (role.clone(), content.clone()));
        let messages = described.map(|(role, content)| TemplateMessage { role, content }).collect();
        Ok(TemplateSample { messages, ids: self.encode_rendered(&text)?, text })
    }

    /// Compares the tokenizer with what it gave when the model was compiled: all texts whose tokens differ.
    pub fn check_tokenizer(&self) -> Vec<Difference> {
        let differences = self.description().vectors.iter().filter_map(|expected| {
            let found = self.record_tokenizer(&expected.text);
            difference(&expected.text, expected, found, |vector| format!("{:?}", vector.ids))
        });
        differences.collect()
    }

    /// Compares the template with what it gave when the model was compiled: all conversations whose text differs, or its tokens.
    pub fn check_template(&self) -> Vec<Difference> {
        let differences = self.description().conversations.iter().filter_map(|expected| {
            let messages: Vec<Message> =
                expected.messages.iter().map(|message| Message::new(&message.role, &message.content)).collect();
            let input = messages.last().map_or("", |message| &message.content);
            let found = self.record_template(&messages);
            difference(input, expected, found, |vector| format!("{:?} {:?}", vector.text, vector.ids))
        });
        differences.collect()
    }
}

fn difference<T: PartialEq>(
    input: &str,
    expected: &T,
    found: Result<T, RuntimeError>,
    describe: impl Fn(&T) -> String,
) -> Option<Difference> {
    if found.as_ref().is_ok_and(|found| found == expected) {
        return None;
    }
    let found = found.map_or_else(|error| error.to_string(), |found| describe(&found));
    Some(Difference { input: input.to_string(), expected: describe(expected), found })
}
