//! One text that is being generated, a step at a time.

use crate::RuntimeError;
use crate::llm::{FinishReason, Generated, Generator, Language, Request, Sampler, StopFilter, TextStream, Timings};
use std::time::Instant;

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutput {
    /// It read a part of the prompt.
    Prompt {
        /// The tokens of the prompt that are left.
        left: usize,
    },
    /// It generated a token.
    Text(
        /// The text that this token completed; empty while a character or a possible stop string is incomplete.
        String,
    ),
    /// The text ended.
    End(
        /// The text that was held back; empty if a stop string ended the text.
        String,
    ),
}

/// A text that is being generated. Each step is one run of the decoder at most, so that many generations, each with a generator of
/// its own, can take turns.
pub struct Generation<'a> {
    /// The tokens of the prompt that are not in the cache yet, last first.
    unread: Vec<u32>,
    prompt_chunk: usize,
    /// The tokens that this generation left in the cache.
    cached: usize,
    max_tokens: usize,
    eos: Vec<u32>,
    sampler: Sampler,
    stream: TextStream<'a>,
    filter: StopFilter,
    tokens: Vec<u32>,
    text: String,
    finish_reason: Option<FinishReason>,
    start: Instant,
    timings: Timings,
}

impl<'a> Generation<'a> {
    pub(crate) fn new(generator: &mut Generator, language: &'a Language, request: &Request<'_>) -> Result<Self, RuntimeError> {
        let start = Instant::now();
        check_prompt(request.prompt, generator.decoder().context_length())?;
        let sampler = Sampler::new(request.sampling.clone())?;
        let cached = generator.reusable(request.prompt);
        generator.truncate(cached)?;
        let unread: Vec<u32> = request.prompt.iter().skip(cached).rev().copied().collect();
        let timings = Timings { prompt_tokens: unread.len(), cached_tokens: cached, ..Timings::default() };
        Ok(Self {
            unread,
            prompt_chunk: request.prompt_chunk.max(1),
            cached,
            max_tokens: request.max_tokens,
            eos: request.eos.to_vec(),
            sampler,
            stream: language.tokenizer().stream(),
            filter: StopFilter::new(request.stop),
            tokens: Vec::new(),
            text: String::new(),
            finish_reason: None,
            start,
            timings,
        })
    }

    /// Makes one step with the generator that this was started with: processes a chunk of the prompt, or generates a token. After
    /// the end it does nothing.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the generator was used for something else since, and what decoder, sampler and tokenizer
    /// report.
    pub fn step(&mut self, generator: &mut Generator) -> Result<StepOutput, RuntimeError> {
        if self.finish_reason.is_some() {
            return Ok(StepOutput::End(String::new()));
        }
        if generator.cached_tokens().len() != self.cached {
            return Err(RuntimeError::input("generation", "its generator has since been used for another generation"));
        }
        if self.unread.is_empty() { self.generate(generator) } else { self.read(generator) }
    }

    /// Announces the token that the next step will append, if any. If all generations on a shared session do so before the first
    /// of them steps, their steps become one batched run ([`Decoder::announce`](super::Decoder::announce)).
    pub fn announce(&self, generator: &mut Generator) {
        let has_room = self.cached < generator.decoder().context_length() && self.cached == generator.cached_tokens().len();
        let goes_on = self.finish_reason.is_none() && self.unread.is_empty() && self.tokens.len() < self.max_tokens;
        if let Some(last) = self.tokens.last().filter(|_| has_room && goes_on) {
            generator.announce(*last);
        }
    }

    /// Tokens and times so far.
    pub fn timings(&self) -> Timings {
        Timings { generated_tokens: self.tokens.len(), ..self.timings }
    }

    /// The result. A generation that did not end is [`FinishReason::Cancelled`].
    pub fn finish(self) -> Generated {
        let mut timings = self.timings();
        if !timings.first_token.is_zero() {
            timings.decode = self.start.elapsed().saturating_sub(timings.first_token);
        }
        Generated {
            tokens: self.tokens,
            text: self.text,
            finish_reason: self.finish_reason.unwrap_or(FinishReason::Cancelled),
            timings,
        }
    }

    fn read(&mut self, generator: &mut Generator) -> Result<StepOutput, RuntimeError> {
        let left = self.unread.len().saturating_sub(self.prompt_chunk);
        let chunk: Vec<u32> = self.unread.drain(left..).rev().collect();
        self.append(generator, &chunk)?;
        if left == 0 {
            self.timings.prompt = self.start.elapsed();
        }
        Ok(StepOutput::Prompt { left })
    }

    fn generate(&mut self, generator: &mut Generator) -> Result<StepOutput, RuntimeError> {
        if self.tokens.len() >= self.max_tokens {
            return self.end(FinishReason::MaxTokens);
        }
        if let Some(last) = self.tokens.last().copied() {
            if self.cached >= generator.decoder().context_length() {
                return self.end(FinishReason::ContextFull);
            }
            self.append(generator, &[last])?;
        }
        let token = self.sampler.sample(generator.logits(), generator.cached_tokens())?;
        if self.tokens.is_empty() {
            self.timings.first_token = self.start.elapsed();
        }
        if self.eos.contains(&token) { self.end(FinishReason::EndOfText) } else { self.push(token) }
    }

    fn append(&mut self, generator: &mut Generator, tokens: &[u32]) -> Result<(), RuntimeError> {
        let result = generator.append(tokens);
        self.cached = generator.cached_tokens().len();
        result
    }

    fn push(&mut self, token: u32) -> Result<StepOutput, RuntimeError> {
        self.tokens.push(token);
        let whole = self.stream.push(token)?;
        let (text, stop) = self.filter.push(&whole);
        self.text.push_str(&text);
        self.finish_reason = stop.map(FinishReason::StopString);
        Ok(if self.finish_reason.is_some() { StepOutput::End(text) } else { StepOutput::Text(text) })
    }

    /// Ends the text with what was held back, unless that has a string which ends it.
    fn end(&mut self, finish_reason: FinishReason) -> Result<StepOutput, RuntimeError> {
        let rest = self.stream.flush()?;
        let (mut text, stop) = self.filter.push(&rest);
        if stop.is_none() {
            text.push_str(&self.filter.flush());
        }
        self.text.push_str(&text);
        self.finish_reason = Some(stop.map_or(finish_reason, FinishReason::StopString));
        Ok(StepOutput::End(text))
    }
}

fn check_prompt(prompt: &[u32], limit: usize) -> Result<(), RuntimeError> {
    match prompt.len() {
        0 => Err(RuntimeError::input("prompt", "it has no tokens")),
        needed if needed > limit => Err(RuntimeError::ContextFull { needed, limit }),
        _ => Ok(()),
    }
}
