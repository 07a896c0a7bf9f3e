//! A compiled decoder, and how an artifact becomes one.

use crate::llm::Cache;
use crate::llm::cache_position::{CachePosition, RECENT, SLIDE};
use crate::{Device, Model, Options, Outputs, RuntimeError, Session, TensorView};
use lostwax_format::FormatError;

/// The entry point for many tokens.
const PREFILL: &str = "prefill";

/// The entry point for one token.
const DECODE: &str = "decode";

/// The entry point for many tokens that gives logits after each.
const SCORE: &str = "score";

const TOKENS: &str = "tokens";
const LOGITS: &str = "logits";

/// The symbol that is the number of tokens in the cache.
const PAST: &str = "past";

/// The symbol that tells which of several texts a run belongs to.
const SLOT: &str = "slot";

/// The maximum number of tokens that one run of `score` appends: it gives a row of logits for each.
const SCORED: usize = 32;

/// Receives the logits after one token.
pub type Visit<'a> = &'a mut dyn FnMut(&[f32]) -> Result<(), RuntimeError>;

/// A compiled decoder: what generation needs of it.
pub trait Decoder: Send {
    /// The number of logits.
    fn vocabulary_size(&self) -> usize;

    /// The largest number of tokens in the cache.
    fn context_length(&self) -> usize;

    /// Tokens in the cache.
    fn position(&self) -> usize;

    /// Announces that this token will be appended next, so that decoders that share a session can append theirs in one run. It has
    /// no effect if something else is done instead.
    fn announce(&mut self, _token: u32) {}

    /// Appends one or more tokens and returns the logits after the last one, one logit per token of the vocabulary.
    ///
    /// # Errors
    /// [`RuntimeError::ContextFull`] if there is no room, and what a run reports. [`Decoder::position`] tells what was appended.
    fn append(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError>;

    /// Appends tokens, at least one, and hands the logits after each of them to `visit`, in order.
    ///
    /// # Errors
    /// As [`Decoder::append`], and what `visit` reports.
    fn append_each(&mut self, tokens: &[u32], visit: Visit<'_>) -> Result<(), RuntimeError> {
        tokens.chunks(1).try_for_each(|token| visit(self.append(token)?))
    }

    /// The longest prefix of the first `position` tokens that [`Decoder::truncate`] can keep: shorter where sliding-window layers
    /// cache only the last tokens. [`Decoder::position`] and 0 are always possible.
    fn rewindable(&self, position: usize) -> usize {
        position
    }

    /// Forgets all but the first `position` tokens.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there are fewer, or if the decoder cannot go back that far; see [`Decoder::rewindable`].
    fn truncate(&mut self, position: usize) -> Result<(), RuntimeError>;

    /// The KV cache, for saving and restoring; `None` if it is not held in the states of one session.
    fn cache(&mut self) -> Option<Cache<'_>> {
        None
    }
}

/// How a decoder runs.
#[derive(Clone)]
pub struct DecoderOptions {
    /// The device.
    pub device: Device,
    /// The session.
    pub session: Options,
    /// The maximum number of tokens that one run appends.
    pub chunk: usize,
    /// The context length: the maximum number of tokens in the KV cache, if less than the model allows.
    pub context_length: Option<usize>,
}

impl DecoderOptions {
    /// Runs of 512 tokens on a device.
    pub fn new(device: impl Into<Device>) -> Self {
        Self { device: device.into(), session: Options::default(), chunk: 512, context_length: None }
    }
}

/// Opens a decoder for an artifact whose entry points share the states of the KV cache and the symbol `past`, the number of
/// cached tokens:
///
/// | entry point | input | output |
/// |---|---|---|
/// | `prefill` | `tokens: i32[sequence]` | `logits: f32[1, vocabulary]` after the last token |
/// | `decode` | `tokens: i32[1]` | the same |
/// | `score` | `tokens: i32[sequence]` | `logits: f32[sequence, vocabulary]` after each token |
///
/// Sliding-window layers may cache only the last tokens: then the symbol `recent` is their number, and `slide`, an entry point
/// without inputs and outputs, keeps as many as the model's description says.
///
/// A model that decodes several sequences has the symbol `slot`, the index of a sequence; this decoder uses slot 0, those of
/// [`open_decoders`](super::open_decoders) all.
///
/// One of `prefill` and `decode` may be missing. `score` is optional: without it, [`Decoder::append_each`] appends tokens one by one.
///
/// # Errors
/// [`RuntimeError::InvalidInput`] if the artifact is not a language model or an option is 0, and what a session reports.
pub fn open_decoder(model: &Model, options: DecoderOptions) -> Result<Box<dyn Decoder>, RuntimeError> {
    let mut decoder = SessionDecoder::open(model, options)?;
    decoder.bind_slot(0)?;
    Ok(Box::new(decoder))
}

/// Whether [`open_decoder`] takes the model.
pub fn is_decoder(model: &Model) -> bool {
    let is_entry = |name: &str| name == PREFILL || name == DECODE;
    model.artifact().language_model().is_some() && model.entry_points().iter().any(|entry| is_entry(&entry.name))
}

/// The maximum number of tokens that an entry point takes; 0 if there is none of this name.
fn longest_run(model: &Model, entry_point: &str) -> usize {
    let entries = model.entry_points();
    let tokens = entries.iter().find(|entry| entry.name == entry_point).and_then(|entry| entry.inputs.first());
    let Some(dim) = tokens.and_then(|tokens| tokens.dims.first()) else { return 0 };
    largest(model, dim).or_else(|| dim.parse().ok()).unwrap_or(usize::MAX)
}

/// The largest value of a symbol, if the model has one of this name.
pub(crate) fn largest(model: &Model, symbol: &str) -> Option<usize> {
    let symbols = model.symbols();
    symbols.iter().find(|known| known.name == symbol).and_then(|known| usize::try_from(known.max).ok())
}

pub(crate) fn no_language_model(model: &Model, why: &str) -> RuntimeError {
    let problem = format!("is not a language model: {why}; compile one with `lostwax compile MODEL -o FILE`");
    RuntimeError::input(format!("model `{}`", model.name()), problem)
}

/// A decoder with a session of its own.
pub(crate) struct SessionDecoder {
    session: Session,
    outputs: Outputs,
    vocabulary: usize,
    context: usize,
    chunk: usize,
    /// The maximum number of tokens that one run of `score` appends; 0 if there is none.
    scored: usize,
    has_decode: bool,
    has_slots: bool,
    pub(crate) progress: CachePosition,
    ids: Vec<i32>,
}

impl SessionDecoder {
    pub(crate) fn open(model: &Model, options: DecoderOptions) -> Result<Self, RuntimeError> {
        let language = model.artifact().language_model();
        let language = language.ok_or_else(|| no_language_model(model, "it has no tokenizer"))?;
        let entries = model.entry_points();
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        if !has(PREFILL) && !has(DECODE) {
            return Err(no_language_model(model, "it has neither `prefill` nor `decode`"));
        }
        let longest = language.context_length as usize;
        let context = options.context_length.unwrap_or(longest).min(longest);
        if options.chunk == 0 || context == 0 {
            return Err(RuntimeError::input("decoder options", "chunk and context length must be at least 1"));
        }
        let progress = CachePosition::new(model)?;
        let chunk = progress.longest_run().min(options.chunk);
        Ok(Self {
            session: model.session_with(options.device, options.session)?,
            outputs: Outputs::new(),
            vocabulary: language.vocabulary_size as usize,
            context,
            chunk: chunk.min(longest_run(model, PREFILL)).max(1),
            scored: longest_run(model, SCORE).min(chunk).min(SCORED),
            has_decode: has(DECODE),
            has_slots: largest(model, SLOT).is_some(),
            progress,
            ids: Vec::new(),
        })
    }

    /// Turns to one of the texts in the cache.
    pub(crate) fn bind_slot(&mut self, slot: usize) -> Result<(), RuntimeError> {
        if self.has_slots { self.session.bind(SLOT, slot as i64) } else { Ok(()) }
    }

    /// Gives symbols of their own the numbers of tokens that the caches of a text hold.
    pub(crate) fn bind_text(&mut self, past: &str, recent: &str, progress: &CachePosition) -> Result<(), RuntimeError> {
        self.session.bind(past, progress.position() as i64)?;
        if progress.has_window() { self.session.bind(recent, progress.recent() as i64) } else { Ok(()) }
    }

    /// The entry point that appends this many tokens and returns the logits after the last one.
    fn entry_point(&self, tokens: usize) -> &'static str {
        if tokens == 1 && self.has_decode { DECODE } else { PREFILL }
    }

    /// One run.
    fn run(&mut self, name: &str, tokens: &[u32]) -> Result<(), RuntimeError> {
        self.make_room(tokens.len())?;
        self.session.bind(PAST, self.progress.position() as i64)?;
        self.run_entry(name, tokens)?;
        self.progress.advance(tokens.len());
        Ok(())
    }

    /// Runs an entry point on tokens.
    pub(crate) fn run_entry(&mut self, name: &str, tokens: &[u32]) -> Result<(), RuntimeError> {
        self.ids.clear();
        self.ids.extend(tokens.iter().map(|token| *token as i32));
        let shape = [tokens.len()];
        self.session.set_entry_point(name)?;
        self.session.run_into(&[(TOKENS, TensorView::new(&self.ids, &shape)?)], &mut self.outputs)
    }

    /// Slides the caches of layers with windows if they have no room.
    pub(crate) fn make_room(&mut self, tokens: usize) -> Result<(), RuntimeError> {
        if !self.progress.has_window() {
            return Ok(());
        }
        if !self.progress.has_room(tokens) {
            self.session.bind(RECENT, self.progress.recent() as i64)?;
            self.session.set_entry_point(SLIDE)?;
            self.session.run_into::<&str>(&[], &mut self.outputs)?;
            self.progress.slide();
        }
        self.session.bind(RECENT, self.progress.recent() as i64)
    }

    fn check(&self, tokens: &[u32]) -> Result<(), RuntimeError> {
        if tokens.is_empty() {
            return Err(RuntimeError::input("tokens", "there are none"));
        }
        let unknown = tokens.iter().find(|token| **token as usize >= self.vocabulary);
        if let Some(token) = unknown {
            return Err(RuntimeError::input("tokens", format!("there is no token {token}; the model has {}", self.vocabulary)));
        }
        let needed = self.progress.position().saturating_add(tokens.len());
        let full = RuntimeError::ContextFull { needed, limit: self.context };
        if needed <= self.context { Ok(()) } else { Err(full) }
    }

    /// The logits of a run, a row after each of so many tokens.
    pub(crate) fn logits(&self, rows: usize) -> Result<&[f32], RuntimeError> {
        let wrong = |problem: &str| FormatError::Invalid { section: format!("output `{LOGITS}`"), problem: problem.into() };
        let logits = self.outputs.get(LOGITS).ok_or_else(|| wrong("there is no such output"))?.view::<f32>()?;
        if logits.len() == rows.saturating_mul(self.vocabulary) {
            Ok(logits)
        } else {
            Err(wrong("it does not have one number for each token").into())
        }
    }
}

impl Decoder for SessionDecoder {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    fn context_length(&self) -> usize {
        self.context
    }

    fn position(&self) -> usize {
        self.progress.position()
    }

    fn append(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError> {
        self.check(tokens)?;
        for chunk in tokens.chunks(self.chunk) {
            self.run(self.entry_point(chunk.len()), chunk)?;
        }
        self.logits(1)
    }

    fn append_each(&mut self, tokens: &[u32], visit: Visit<'_>) -> Result<(), RuntimeError> {
        if self.scored == 0 {
            return tokens.chunks(1).try_for_each(|token| visit(self.append(token)?));
        }
        self.check(tokens)?;
        for chunk in tokens.chunks(self.scored) {
            self.run(SCORE, chunk)?;
            self.logits(chunk.len())?.chunks(self.vocabulary).try_for_each(&mut *visit)?;
        }
        Ok(())
    }

    fn rewindable(&self, position: usize) -> usize {
        self.progress.rewindable(position)
    }

    fn truncate(&mut self, position: usize) -> Result<(), RuntimeError> {
        self.progress.truncate(position)
    }

    fn cache(&mut self) -> Option<Cache<'_>> {
        Some(Cache { session: &mut self.session, progress: &mut self.progress })
    }
}
