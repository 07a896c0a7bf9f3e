//! The generation loop.

use crate::RuntimeError;
use crate::llm::saved::{self, Saved};
use crate::llm::{Decoder, Generation, Language, Sampling, StepOutput};
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

/// What to generate.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The tokens before, at least one.
    pub prompt: &'a [u32],
    /// The maximum number of tokens to generate.
    pub max_tokens: usize,
    /// Stop strings: they end the text and are not part of it.
    pub stop: &'a [String],
    /// Tokens that end the text.
    pub eos: &'a [u32],
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The maximum number of tokens of the prompt that one step reads, at least 1.
    pub prompt_chunk: usize,
}

impl<'a> Request<'a> {
    /// The defaults of the model: its sampling parameters and end-of-text tokens, with no limit but the context.
    pub fn new(language: &'a Language, prompt: &'a [u32]) -> Self {
        let (eos, sampling) = (language.eos(), language.sampling());
        Self { prompt, max_tokens: usize::MAX, stop: &[], eos, sampling, prompt_chunk: usize::MAX }
    }
}

/// Why a text ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// As many tokens were generated as asked for.
    MaxTokens,
    /// The model ended the text.
    EndOfText,
    /// This string was found.
    StopString(String),
    /// The receiver wanted no more.
    Cancelled,
    /// The decoder has no room for more tokens.
    ContextFull,
}

/// Token counts and times of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Prompt tokens that had to be computed.
    pub prompt_tokens: usize,
    /// Prompt tokens that were already in the KV cache.
    pub cached_tokens: usize,
    /// Generated tokens.
    pub generated_tokens: usize,
    /// Time for the prompt.
    pub prompt: Duration,
    /// Time from the start to the first token.
    pub first_token: Duration,
    /// Time for all tokens after the first.
    pub decode: Duration,
}

impl Timings {
    /// Prompt tokens per second.
    pub fn prompt_rate(&self) -> f64 {
        rate(self.prompt_tokens, self.prompt)
    }

    /// Generated tokens per second, the first one left out.
    pub fn decode_rate(&self) -> f64 {
        rate(self.generated_tokens.saturating_sub(1), self.decode)
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// A generated text.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Its tokens, without one that ended it.
    pub tokens: Vec<u32>,
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it took.
    pub timings: Timings,
}

/// A decoder that keeps track of the tokens in its KV cache.
pub struct Generator {
    decoder: Box<dyn Decoder>,
    cached_tokens: Vec<u32>,
    logits: Vec<f32>,
}

impl Generator {
    /// A generator with a decoder whose cache it empties.
    pub fn new(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, cached_tokens: Vec::new(), logits: Vec::new() }
    }

    /// The decoder.
    pub fn decoder(&self) -> &dyn Decoder {
        &*self.decoder
    }

    /// The tokens in the KV cache: a prompt that begins with them need not compute them again.
    pub fn cached_tokens(&self) -> &[u32] {
        &self.cached_tokens
    }

    /// The logits after the tokens in the cache; none before the first token.
    pub(crate) fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// How many leading tokens of a prompt are cached; never the last one, since only a run gives logits.
    pub fn reusable(&self, prompt: &[u32]) -> usize {
        let same = self.cached_tokens.iter().zip(prompt).take_while(|(cached, wanted)| cached == wanted).count();
        self.decoder.rewindable(same.min(prompt.len().saturating_sub(1)))
    }

    /// Starts a generation; [`Generation::step`] advances it. The cached prefix of the prompt is not computed again.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the prompt is empty or a setting is out of its range, [`RuntimeError::ContextFull`] if the
    /// prompt does not fit.
    pub fn begin<'a>(&mut self, language: &'a Language, request: &Request<'_>) -> Result<Generation<'a>, RuntimeError> {
        Generation::new(self, language, request)
    }

    /// Generates text and hands it to `receive` as it comes.
    ///
    /// # Errors
    /// As [`Generator::begin`], and what decoder, sampler and tokenizer report.
    pub fn generate(
        &mut self,
        language: &Language,
        request: &Request<'_>,
        receive: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generated, RuntimeError> {
        let mut generation = self.begin(language, request)?;
        loop {
            let (text, is_end) = match generation.step(self)? {
                StepOutput::Prompt { .. } => continue,
                StepOutput::Text(text) => (text, false),
                StepOutput::End(text) => (text, true),
            };
            let flow = if text.is_empty() { ControlFlow::Continue(()) } else { receive(&text) };
            if is_end || flow.is_break() {
                return Ok(generation.finish());
            }
        }
    }

    /// Writes the KV cache, for [`Generator::restore`], and user data of the program. The file may still contain keys and values
    /// of truncated tokens.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the decoder has no [`Decoder::cache`], and what `out` reports.
    pub fn save(&mut self, note: &[u8], out: &mut dyn Write) -> Result<(), RuntimeError> {
        saved::write(&mut *self.decoder, &self.cached_tokens, note, out)
    }

    /// Replaces the KV cache with one that [`Generator::save`] wrote, and returns its user data. What a prompt has in common with
    /// the tokens that were saved is not computed again, and everything goes on as if it had never stopped.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the bytes are damaged or belong to another artifact, [`RuntimeError::ContextFull`] if they have
    /// more tokens than fit; nothing has changed then. If the device fails, the cache is empty.
    pub fn restore<'a>(&mut self, saved: &'a [u8]) -> Result<&'a [u8], RuntimeError> {
        let saved = Saved::read(saved)?;
        let restored = saved.restore(&mut *self.decoder);
        if restored.is_ok() {
            self.cached_tokens = saved.tokens;
        }
        self.cached_tokens.truncate(self.decoder.position());
        restored.map(|()| saved.note)
    }

    /// Forgets all but the first tokens.
    pub(crate) fn truncate(&mut self, kept: usize) -> Result<(), RuntimeError> {
        self.decoder.truncate(kept)?;
        self.cached_tokens.truncate(kept);
        Ok(())
    }

    /// Tells the decoder which token comes next.
    pub(crate) fn announce(&mut self, token: u32) {
        self.decoder.announce(token);
    }

    /// Brings tokens to the cache.
    pub(crate) fn append(&mut self, tokens: &[u32]) -> Result<(), RuntimeError> {
        self.cached_tokens.extend(tokens);
        let result = self.decoder.append(tokens).map(|logits| {
            self.logits.clear();
            self.logits.extend_from_slice(logits);
        });
        self.cached_tokens.truncate(self.decoder.position());
        result
    }
}
