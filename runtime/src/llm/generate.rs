//! The generation loop.

use crate::RuntimeError;
use crate::llm::{Decoder, Language, Sampler, Sampling, StopFilter, TextStream};
use std::time::{Duration, Instant};

/// What to generate.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The tokens before, at least one.
    pub prompt: &'a [u32],
    /// The most tokens to generate.
    pub max_tokens: usize,
    /// Strings that end the text; they are no part of it.
    pub stop: &'a [String],
    /// Tokens that end the text.
    pub end: &'a [u32],
    /// How tokens are chosen.
    pub sampling: Sampling,
}

impl<'a> Request<'a> {
    /// What the model wants: its sampling and its end, until the context is full.
    pub fn new(language: &'a Language, prompt: &'a [u32]) -> Self {
        Self { prompt, max_tokens: usize::MAX, stop: &[], end: language.end(), sampling: language.sampling() }
    }
}

/// What the receiver of text wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More.
    Continue,
    /// No more.
    Stop,
}

/// Why a text ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
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

/// What a generation took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Tokens of the prompt that the decoder had to see.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were in its cache.
    pub reused_tokens: usize,
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
    pub ending: Ending,
    /// What it took.
    pub timings: Timings,
}

/// A decoder that remembers what it has seen.
pub struct Generator {
    decoder: Box<dyn Decoder>,
    seen: Vec<u32>,
}

impl Generator {
    /// A generator with a decoder whose cache it empties.
    pub fn new(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, seen: Vec::new() }
    }

    /// The decoder.
    pub fn decoder(&self) -> &dyn Decoder {
        &*self.decoder
    }

    /// The tokens in the cache: what the next prompt may begin with at no cost.
    pub fn seen(&self) -> &[u32] {
        &self.seen
    }

    /// Generates text and hands it to `receive` as it comes. Of the prompt, what the cache begins with is not computed again.
    ///
    /// # Errors
    /// [`RuntimeError::ContextFull`] if the prompt does not fit, and what decoder, sampler and tokenizer report.
    pub fn generate(
        &mut self,
        language: &Language,
        request: &Request<'_>,
        receive: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Generated, RuntimeError> {
        let result = self.generate_from(language, request, receive);
        self.seen.truncate(self.decoder.position());
        result
    }

    fn generate_from(
        &mut self,
        language: &Language,
        request: &Request<'_>,
        receive: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Generated, RuntimeError> {
        let mut sampler = Sampler::new(request.sampling.clone())?;
        let mut writer = TextWriter::new(language, request.stop, receive);
        let mut timings = Timings::default();
        let start = Instant::now();
        let mut logits = self.read_prompt(request.prompt, &mut timings)?;
        timings.prompt = start.elapsed();
        let mut tokens = Vec::new();
        let ending = loop {
            if tokens.len() >= request.max_tokens {
                break Ending::MaxTokens;
            }
            let token = sampler.sample(&logits, &self.seen)?;
            if tokens.is_empty() {
                timings.first_token = start.elapsed();
            }
            if request.end.contains(&token) {
                break Ending::EndOfText;
            }
            tokens.push(token);
            if let Some(ending) = writer.push(token)? {
                break ending;
            }
            if tokens.len() >= request.max_tokens {
                break Ending::MaxTokens;
            }
            if self.decoder.position() >= self.decoder.context_length() {
                break Ending::ContextFull;
            }
            self.append(&[token], &mut logits)?;
        };
        timings.generated_tokens = tokens.len();
        timings.decode = start.elapsed().saturating_sub(timings.first_token);
        Ok(Generated { tokens, text: writer.finish(&ending)?, ending, timings })
    }

    /// Brings the cache to the prompt and gives the logits after it.
    fn read_prompt(&mut self, prompt: &[u32], timings: &mut Timings) -> Result<Vec<f32>, RuntimeError> {
        let (needed, limit) = (prompt.len(), self.decoder.context_length());
        if needed > limit {
            return Err(RuntimeError::ContextFull { needed, limit });
        }
        let same = self.seen.iter().zip(prompt).take_while(|(seen, wanted)| seen == wanted).count();
        let kept = same.min(needed.saturating_sub(1));
        self.decoder.truncate(kept)?;
        self.seen.truncate(kept);
        timings.reused_tokens = kept;
        timings.prompt_tokens = needed - kept;
        let mut logits = Vec::new();
        self.append(prompt.get(kept..).unwrap_or_default(), &mut logits)?;
        Ok(logits)
    }

    fn append(&mut self, tokens: &[u32], logits: &mut Vec<f32>) -> Result<(), RuntimeError> {
        self.seen.extend(tokens);
        let found = self.decoder.append(tokens)?;
        logits.clear();
        logits.extend_from_slice(found);
        Ok(())
    }
}

/// Tokens on their way to the receiver.
struct TextWriter<'a> {
    stream: TextStream<'a>,
    filter: StopFilter,
    text: String,
    receive: &'a mut dyn FnMut(&str) -> Flow,
}

impl<'a> TextWriter<'a> {
    fn new(language: &'a Language, stop: &[String], receive: &'a mut dyn FnMut(&str) -> Flow) -> Self {
        Self { stream: language.tokenizer().stream(), filter: StopFilter::new(stop), text: String::new(), receive }
    }

    /// Why the text ends with this token, if it does.
    fn push(&mut self, token: u32) -> Result<Option<Ending>, RuntimeError> {
        let text = self.stream.push(token)?;
        let (text, stop) = self.filter.push(&text);
        let flow = self.give(&text);
        Ok(match (stop, flow) {
            (Some(stop), _) => Some(Ending::StopString(stop)),
            (None, Flow::Stop) => Some(Ending::Cancelled),
            (None, Flow::Continue) => None,
        })
    }

    fn give(&mut self, text: &str) -> Flow {
        self.text.push_str(text);
        if text.is_empty() { Flow::Continue } else { (self.receive)(text) }
    }

    /// Gives what was held back, unless nobody wants it.
    fn finish(mut self, ending: &Ending) -> Result<String, RuntimeError> {
        if !matches!(ending, Ending::StopString(_) | Ending::Cancelled) {
            let rest = self.stream.finish()?;
            let (text, stop) = self.filter.push(&rest);
            let held = if stop.is_none() { self.filter.finish() } else { String::new() };
            self.give(&(text + &held));
        }
        Ok(self.text)
    }
}
