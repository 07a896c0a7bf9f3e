//! Decoders of several texts that share a session, and are run together where that is possible.

use crate::llm::cache_position::CachePosition;
use crate::llm::decoder::{Decoder, DecoderOptions, SessionDecoder, Visit, open_decoder};
use crate::{Model, RuntimeError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The entry point that appends a token to each text.
const BATCH: &str = "batch";

/// The texts that an artifact decodes together: its entry point `batch` takes `tokens: i32[texts]` and gives
/// `logits: f32[texts, vocabulary]`. 1 if it has none.
pub fn batch_size(model: &Model) -> usize {
    let entries = model.entry_points();
    let tokens = entries.iter().find(|entry| entry.name == BATCH).and_then(|entry| entry.inputs.first());
    tokens.and_then(|tokens| tokens.dims.first()?.parse().ok()).filter(|size| *size > 0).unwrap_or(1)
}

/// Makes this many decoders, each with its own KV cache. If the artifact decodes several sequences together, that many of
/// the decoders share a session, and tokens which are announced to them ([`Decoder::announce`]) are appended in one run.
///
/// # Errors
/// As [`open_decoder`].
pub fn open_decoders(model: &Model, options: &DecoderOptions, count: usize) -> Result<Vec<Box<dyn Decoder>>, RuntimeError> {
    let size = batch_size(model);
    if size == 1 {
        return (0..count).map(|_| open_decoder(model, options.clone())).collect();
    }
    let mut decoders: Vec<Box<dyn Decoder>> = Vec::new();
    while decoders.len() < count {
        let shared = Arc::new(Mutex::new(Batch::open(model, options.clone(), size)?));
        let slot = |slot| Box::new(BatchDecoder::new(&shared, slot)) as Box<dyn Decoder>;
        decoders.extend((0..size.min(count - decoders.len())).map(slot));
    }
    Ok(decoders)
}

/// The texts of one session.
struct Batch {
    decoder: SessionDecoder,
    texts: Vec<Text>,
    /// The names of the symbols `past` and `recent` of each text.
    names: Vec<[String; 2]>,
}

/// One text.
struct Text {
    progress: CachePosition,
    next: Next,
    logits: Vec<f32>,
}

/// What is known of the next token of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Unknown,
    /// It will be appended.
    Announced(u32),
    /// It is in the cache, with the logits after it, and will be appended.
    Ready(u32),
}

impl Batch {
    fn open(model: &Model, options: DecoderOptions, size: usize) -> Result<Self, RuntimeError> {
        let decoder = SessionDecoder::open(model, options)?;
        let text = || Text { progress: decoder.progress, next: Next::Unknown, logits: Vec::new() };
        let names = (0..size).map(|text| ["past", "recent"].map(|name| format!("{name}_{text}"))).collect();
        Ok(Self { texts: (0..size).map(|_| text()).collect(), decoder, names })
    }

    fn text(&mut self, number: usize) -> Result<&mut Text, RuntimeError> {
        self.texts.get_mut(number).ok_or_else(|| RuntimeError::input("decoder", "it has no part of the cache"))
    }

    /// Lets the decoder work at one of the texts.
    fn with<T>(
        &mut self,
        number: usize,
        work: impl FnOnce(&mut SessionDecoder) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        self.decoder.progress = self.text(number)?.progress;
        self.decoder.bind_slot(number)?;
        let result = work(&mut self.decoder);
        let progress = self.decoder.progress;
        self.text(number)?.progress = progress;
        result
    }

    /// Appends tokens to a text and leaves its logits where they belong.
    fn append(&mut self, number: usize, tokens: &[u32]) -> Result<(), RuntimeError> {
        if !self.take_ready(number, tokens)? {
            self.text(number)?.next = Next::Unknown;
            let mut logits = std::mem::take(&mut self.text(number)?.logits);
            self.with(number, |decoder| {
                logits.clear();
                logits.extend_from_slice(decoder.append(tokens)?);
                Ok(())
            })?;
            self.text(number)?.logits = logits;
        }
        Ok(())
    }

    /// Whether the tokens are in the cache of the text already, after a run for all that are announced.
    fn take_ready(&mut self, number: usize, tokens: &[u32]) -> Result<bool, RuntimeError> {
        let &[token] = tokens else { return Ok(false) };
        let announced = self.texts.iter().filter(|text| matches!(text.next, Next::Announced(_))).count();
        if self.text(number)?.next == Next::Announced(token) && announced > 1 && self.has_room() {
            self.run()?;
        }
        let text = self.text(number)?;
        let is_ready = text.next == Next::Ready(token);
        if is_ready {
            text.progress.advance(1);
            text.next = Next::Unknown;
        }
        Ok(is_ready)
    }

    /// Whether a token can be appended to every text, also to those for which none is announced.
    fn has_room(&self) -> bool {
        self.texts.iter().all(|text| text.progress.position() < self.decoder.context_length())
    }

    /// Appends the announced tokens. The other sequences get token 0 past their end, where it is overwritten before it is read.
    fn run(&mut self) -> Result<(), RuntimeError> {
        let mut tokens = Vec::with_capacity(self.texts.len());
        for number in 0..self.texts.len() {
            self.with(number, |decoder| decoder.make_room(1))?;
            let text = self.text(number)?;
            tokens.push(if let Next::Announced(token) = text.next { token } else { 0 });
        }
        for (text, [past, recent]) in self.texts.iter().zip(&self.names) {
            self.decoder.bind_text(past, recent, &text.progress)?;
        }
        self.decoder.run_entry(BATCH, &tokens)?;
        let size = self.decoder.vocabulary_size();
        let logits = self.decoder.logits(tokens.len())?;
        for (text, row) in self.texts.iter_mut().zip(logits.chunks(size)) {
            if let Next::Announced(token) = text.next {
                text.next = Next::Ready(token);
                text.logits.clear();
                text.logits.extend_from_slice(row);
            }
        }
        Ok(())
    }
}

/// A decoder of one of the texts.
struct BatchDecoder {
    batch: Arc<Mutex<Batch>>,
    number: usize,
    vocabulary: usize,
    context: usize,
    progress: CachePosition,
    logits: Vec<f32>,
}

impl BatchDecoder {
    fn new(batch: &Arc<Mutex<Batch>>, number: usize) -> Self {
        let decoder = &lock(batch).decoder;
        let (vocabulary, context, progress) = (decoder.vocabulary_size(), decoder.context_length(), decoder.progress);
        Self { batch: Arc::clone(batch), number, vocabulary, context, progress, logits: Vec::new() }
    }

    /// Works at the batch, and keeps what became of the text.
    fn with<T>(&mut self, work: impl FnOnce(&mut Batch, usize) -> Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        let mut batch = lock(&self.batch);
        let result = work(&mut batch, self.number);
        self.progress = batch.text(self.number)?.progress;
        result
    }
}

/// Ignores poisoning: a batch is consistent even if an earlier run failed.
fn lock(batch: &Mutex<Batch>) -> MutexGuard<'_, Batch> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Decoder for BatchDecoder {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    fn context_length(&self) -> usize {
        self.context
    }

    fn position(&self) -> usize {
        self.progress.position()
    }

    fn announce(&mut self, token: u32) {
        if (token as usize) < self.vocabulary
            && let Ok(text) = lock(&self.batch).text(self.number)
        {
            text.next = Next::Announced(token);
        }
    }

    fn append(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError> {
        let mut logits = std::mem::take(&mut self.logits);
        self.with(|batch, number| {
            batch.append(number, tokens)?;
            std::mem::swap(&mut batch.text(number)?.logits, &mut logits);
            Ok(())
        })?;
        self.logits = logits;
        Ok(&self.logits)
    }

    fn append_each(&mut self, tokens: &[u32], visit: Visit<'_>) -> Result<(), RuntimeError> {
        self.with(|batch, number| {
            batch.text(number)?.next = Next::Unknown;
            batch.with(number, |decoder| decoder.append_each(tokens, visit))
        })
    }

    fn rewindable(&self, position: usize) -> usize {
        self.progress.rewindable(position)
    }

    fn truncate(&mut self, position: usize) -> Result<(), RuntimeError> {
        self.with(|batch, number| {
            let text = batch.text(number)?;
            text.next = Next::Unknown;
            text.progress.truncate(position)
        })
    }
}
