//! What was said, and the next answer.

use crate::console::Console;
use crate::error::CliError;
use crate::language::generated_json;
use crate::state_file::{self, Loaded};
use lostwax_runtime::RuntimeError;
use lostwax_runtime::llm::{FinishReason, Generated, Generator, Language, Message, Request, Sampling, StepOutput, Timings};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Tokens of a prompt that are read before anyone is asked whether to stop.
const CHUNK: usize = 128;

/// Messages of a system, a user and a model, in turns.
pub struct Conversation<'a> {
    language: &'a Language,
    generator: Generator,
    sampling: Sampling,
    /// The maximum number of tokens of an answer.
    pub max_tokens: usize,
    system: Option<Message>,
    turns: Vec<Message>,
    answers: Vec<Value>,
}

impl<'a> Conversation<'a> {
    pub fn new(language: &'a Language, generator: Generator, sampling: Sampling) -> Self {
        let (system, turns, answers) = (None, Vec::new(), Vec::new());
        Self { language, generator, sampling, max_tokens: usize::MAX, system, turns, answers }
    }

    pub fn context_length(&self) -> usize {
        self.generator.decoder().context_length()
    }

    /// Sets what the model is told before all else; an empty text is nothing.
    pub fn set_system(&mut self, text: &str) {
        self.system = Some(text).filter(|text| !text.is_empty()).map(|text| Message::new("system", text));
    }

    /// Forgets what was said, but not what the system says.
    pub fn reset(&mut self) {
        self.turns.clear();
    }

    /// The messages, and each answer with its tokens and times.
    pub fn json(&self) -> Value {
        json!({ "messages": self.messages_json(), "answers": self.answers })
    }

    /// Writes the messages and the cache to a file, and gives the number of tokens in the cache.
    pub fn save(&mut self, path: &Path, console: &Console) -> Result<usize, CliError> {
        let note = self.messages_json().to_string();
        state_file::save(path, &mut self.generator, note.as_bytes(), console)
    }

    /// Goes on with what was saved, and gives the number of tokens in the cache. Files of other verbs have no messages: the
    /// conversation stays as it is then.
    pub fn load(&mut self, path: &Path, console: &Console) -> Result<usize, CliError> {
        let Loaded { tokens, note } = state_file::load(path, &mut self.generator, console)?;
        if !note.is_empty() {
            let messages = parse(&note).ok_or_else(|| CliError::file(path, "it contains no readable conversation"))?;
            self.set_messages(messages);
        }
        Ok(tokens)
    }

    fn set_messages(&mut self, mut messages: Vec<Message>) {
        let is_system = messages.first().is_some_and(|message| message.role == "system");
        self.system = is_system.then(|| messages.remove(0));
        self.turns = messages;
    }

    fn messages_json(&self) -> Value {
        self.messages().iter().map(|message| json!({ "role": message.role, "content": message.content })).collect()
    }

    /// Answers a message piece by piece, until the end or until `is_stopped`. What was answered by then stays in the conversation; if
    /// it is nothing, or the message cannot be answered, the message is taken back.
    pub fn answer(
        &mut self,
        text: String,
        receive: &mut dyn FnMut(&str),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Timings, RuntimeError> {
        self.turns.push(Message::new("user", text));
        let generated = self.generate(receive, is_stopped);
        match &generated {
            Ok(generated) if generated.finish_reason != FinishReason::Cancelled || !generated.text.is_empty() => {
                self.turns.push(Message::new("assistant", &generated.text));
                self.answers.push(generated_json(generated, Duration::ZERO));
            }
            Ok(_) | Err(_) => drop(self.turns.pop()),
        }
        Ok(generated?.timings)
    }

    fn messages(&self) -> Vec<Message> {
        self.system.iter().chain(&self.turns).cloned().collect()
    }

    fn generate(&mut self, receive: &mut dyn FnMut(&str), is_stopped: &dyn Fn() -> bool) -> Result<Generated, RuntimeError> {
        let prompt = self.language.encode_chat(&self.messages())?;
        let request = Request {
            max_tokens: self.max_tokens,
            sampling: self.sampling.clone(),
            prompt_chunk: CHUNK,
            ..Request::new(self.language, &prompt)
        };
        let mut generation = self.generator.begin(self.language, &request)?;
        while !is_stopped() {
            match generation.step(&mut self.generator)? {
                StepOutput::Prompt { .. } => {}
                StepOutput::Text(text) => receive(&text),
                StepOutput::End(text) => {
                    receive(&text);
                    break;
                }
            }
        }
        Ok(generation.finish())
    }
}

/// Messages as [`Conversation::save`] writes them.
fn parse(note: &[u8]) -> Option<Vec<Message>> {
    let messages: Value = serde_json::from_slice(note).ok()?;
    let message = |value: &Value| Some(Message::new(value.get("role")?.as_str()?, value.get("content")?.as_str()?));
    messages.as_array()?.iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Babbler, language};
    use std::cell::Cell;

    fn conversation(language: &Language) -> Conversation<'_> {
        Conversation::new(language, Generator::new(Box::new(Babbler::with_pause(Duration::ZERO))), Sampling::greedy())
    }

    #[test]
    fn turns_go_on_from_the_cache() {
        let language = language();
        let mut conversation = conversation(&language);
        let mut text = String::new();
        let first = conversation.answer("hello".into(), &mut |piece| text += piece, &|| false).unwrap();
        let second = conversation.answer("and you?".into(), &mut |piece| text += piece, &|| false).unwrap();
        assert_eq!(first.cached_tokens, 0);
        assert!(second.cached_tokens >= first.prompt_tokens + first.generated_tokens && second.prompt_tokens < 30);
        let json = conversation.json();
        let said = [1, 3].map(|turn| json["messages"][turn]["content"].as_str().unwrap()).concat();
        assert!(said == text && !text.is_empty());
        conversation.reset();
        conversation.set_system("be brief");
        assert_eq!(conversation.json()["messages"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_stopped_answer_stays_as_far_as_it_came() {
        let language = language();
        let mut conversation = conversation(&language);
        let pieces = Cell::new(0);
        let stopped = || pieces.get() == 3;
        conversation.answer("hello".into(), &mut |_| pieces.set(pieces.get() + 1), &stopped).unwrap();
        assert_eq!(conversation.json()["messages"][1]["content"].as_str().unwrap().len(), 3);
        conversation.answer("hello".into(), &mut |_| {}, &|| true).unwrap();
        assert_eq!(conversation.json()["messages"].as_array().unwrap().len(), 2);
        let long = conversation.answer("x".repeat(9999), &mut |_| {}, &|| false);
        assert!(matches!(long, Err(RuntimeError::ContextFull { .. })));
        assert_eq!(conversation.json()["messages"].as_array().unwrap().len(), 2);
    }
}
