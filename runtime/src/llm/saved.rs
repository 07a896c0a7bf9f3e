//! The cache of a decoder as bytes.
//!
//! | part | is |
//! |---|---|
//! | magic | `lwxstate` |
//! | version | u32 |
//! | artifact | the 32 bytes of its id |
//! | tokens | u32 count, then a u32 each |
//! | recent | u32: of how many tokens layers with windows have keys and values |
//! | states | u32 count; each with its name (u32 length, UTF-8), the number of its bytes (u64) and its runs |
//! | note | u64 length, then what the program wants to find again |
//! | hash | SHA-256 of all before |
//!
//! Integers are little-endian. A run is a number of zeros (u32) and a number of bytes (u32) that follow, with these bytes: the part
//! of a cache that no token has reached takes no space, wherever it lies.

use crate::llm::{CachePosition, Decoder};
use crate::{RuntimeError, Session, Tensor};
use lostwax_format::{FormatError, HashingWriter, hash};
use std::io::Write;

const MAGIC: [u8; 8] = *b"lwxstate";

/// What this program reads and writes.
const VERSION: u32 = 1;

/// Bytes of an id and of a hash.
const HASH_BYTES: usize = 32;

/// The granularity at which runs of zeros are found, in bytes.
const BLOCK: usize = 64;

/// The maximum number of bytes of each half of a run.
const LONGEST_RUN: usize = 1 << 30;

/// The session whose states are a decoder's cache, and what is in it.
pub struct Cache<'a> {
    /// The session; all that its states hold belongs to the cache.
    pub session: &'a mut Session,
    /// The tokens in the cache.
    pub progress: &'a mut CachePosition,
}

fn wrong(problem: impl Into<String>) -> RuntimeError {
    RuntimeError::input("saved state", problem)
}

fn cache(decoder: &mut dyn Decoder) -> Result<Cache<'_>, RuntimeError> {
    decoder.cache().ok_or_else(|| RuntimeError::input("decoder", "its cache can be neither saved nor restored"))
}

/// Writes the cache of a decoder that has seen these tokens.
pub(crate) fn write(decoder: &mut dyn Decoder, tokens: &[u32], note: &[u8], out: &mut dyn Write) -> Result<(), RuntimeError> {
    let Cache { session, progress } = cache(decoder)?;
    let mut writer = Writer(HashingWriter::new(out));
    writer.bytes(&MAGIC)?;
    writer.count(VERSION as usize)?;
    writer.bytes(&session.model().artifact().id())?;
    writer.count(tokens.len())?;
    tokens.iter().try_for_each(|token| writer.bytes(&token.to_le_bytes()))?;
    writer.count(progress.recent())?;
    let states = session.model().states();
    writer.count(states.len())?;
    for state in states {
        writer.count(state.name.len())?;
        writer.bytes(state.name.as_bytes())?;
        writer.state(session.state(&state.name)?.bytes())?;
    }
    writer.size(note.len())?;
    writer.bytes(note)?;
    writer.finish()
}

struct Writer<'a>(HashingWriter<&'a mut dyn Write>);

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.0.write_all(bytes).map_err(|error| FormatError::Io(error).into())
    }

    fn count(&mut self, count: usize) -> Result<(), RuntimeError> {
        let count = u32::try_from(count).map_err(|_| wrong(format!("a count of {count} does not fit 32 bits")))?;
        self.bytes(&count.to_le_bytes())
    }

    fn size(&mut self, size: usize) -> Result<(), RuntimeError> {
        self.bytes(&(size as u64).to_le_bytes())
    }

    fn state(&mut self, mut bytes: &[u8]) -> Result<(), RuntimeError> {
        self.size(bytes.len())?;
        while !bytes.is_empty() {
            let (zeros, rest) = split(bytes, true);
            let (others, rest) = split(rest, false);
            self.count(zeros.len())?;
            self.count(others.len())?;
            self.bytes(others)?;
            bytes = rest;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), RuntimeError> {
        let hash = self.0.take();
        self.bytes(&hash)
    }
}

/// The blocks at the start that are zeros, or those that are not, and the rest.
fn split(bytes: &[u8], zeros: bool) -> (&[u8], &[u8]) {
    let is_wanted = |block: &&[u8]| block.iter().all(|byte| *byte == 0) == zeros;
    let length: usize = bytes.chunks(BLOCK).take(LONGEST_RUN / BLOCK).take_while(is_wanted).map(<[u8]>::len).sum();
    bytes.split_at_checked(length).unwrap_or((bytes, &[]))
}

/// A saved cache, of which all lengths are known to be right.
pub(crate) struct Saved<'a> {
    artifact: &'a [u8],
    /// The tokens in the cache.
    pub(crate) tokens: Vec<u32>,
    recent: usize,
    states: Vec<SavedState<'a>>,
    /// What the program wanted to find again.
    pub(crate) note: &'a [u8],
}

struct SavedState<'a> {
    name: &'a str,
    size: usize,
    runs: Vec<Run<'a>>,
}

struct Run<'a> {
    start: usize,
    bytes: &'a [u8],
}

impl<'a> Saved<'a> {
    /// Takes bytes apart and checks them.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, RuntimeError> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len()).ok() != Some(&MAGIC) {
            return Err(wrong("this is not a saved state; `lostwax generate --save-state` writes one"));
        }
        let version = reader.count()?;
        if version != VERSION as usize {
            return Err(wrong(format!("it has version {version}, this program reads {VERSION}; save it again")));
        }
        let (contents, expected) = bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(cut_off)?;
        if hash(contents) != *expected {
            return Err(wrong("it is damaged: its hash is wrong"));
        }
        Reader(contents.get(MAGIC.len() + size_of::<u32>()..).unwrap_or_default()).saved()
    }

    /// Checks that this is a cache of the decoder and puts it in the place of what the decoder has.
    pub(crate) fn restore(&self, decoder: &mut dyn Decoder) -> Result<(), RuntimeError> {
        self.check_states(cache(decoder)?.session)?;
        self.check_tokens(decoder)?;
        let Cache { session, progress } = cache(decoder)?;
        let mut restored = *progress;
        restored.restore(self.tokens.len(), self.recent)?;
        progress.truncate(0)?;
        self.states.iter().try_for_each(|state| state.restore(session))?;
        *progress = restored;
        Ok(())
    }

    fn check_tokens(&self, decoder: &dyn Decoder) -> Result<(), RuntimeError> {
        let (needed, limit, known) = (self.tokens.len(), decoder.context_length(), decoder.vocabulary_size());
        if needed > limit {
            return Err(RuntimeError::ContextFull { needed, limit });
        }
        match self.tokens.iter().find(|token| **token as usize >= known) {
            Some(token) => Err(wrong(format!("there is no token {token}; the model has {known}"))),
            None => Ok(()),
        }
    }

    fn check_states(&self, session: &mut Session) -> Result<(), RuntimeError> {
        if self.artifact != session.model().artifact().id() {
            return Err(wrong(format!("it belongs to another artifact, not to `{}`; save it again", session.model().name())));
        }
        let states = session.model().states();
        if !states.iter().map(|state| state.name.as_str()).eq(self.states.iter().map(|state| state.name)) {
            return Err(wrong("its states differ from those of the model"));
        }
        for state in &self.states {
            let size = session.state(state.name)?.bytes().len();
            if size != state.size {
                return Err(wrong(format!("`{}` has {} bytes, not the {size} of the model", state.name, state.size)));
            }
        }
        Ok(())
    }
}

impl SavedState<'_> {
    fn restore(&self, session: &mut Session) -> Result<(), RuntimeError> {
        let view = session.state(self.name)?;
        let mut tensor = Tensor::zeros(view.dtype(), view.shape())?;
        for Run { start, bytes } in &self.runs {
            let place = tensor.bytes_mut().get_mut(*start..start.saturating_add(bytes.len()));
            place.ok_or_else(cut_off)?.copy_from_slice(bytes);
        }
        session.set_state(self.name, &tensor)
    }
}

fn cut_off() -> RuntimeError {
    wrong("it is damaged: it ends too early")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RuntimeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RuntimeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn count(&mut self) -> Result<usize, RuntimeError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn size(&mut self) -> Result<usize, RuntimeError> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| cut_off())
    }

    /// What follows the version.
    fn saved(mut self) -> Result<Saved<'a>, RuntimeError> {
        let artifact = self.take(HASH_BYTES)?;
        let (tokens, recent) = (self.tokens()?, self.count()?);
        let states = (0..self.count()?).map(|_| self.state()).collect::<Result<_, _>>()?;
        let note = self.size()?;
        let note = self.take(note)?;
        if !self.0.is_empty() {
            return Err(wrong(format!("it is damaged: {} bytes are left at its end", self.0.len())));
        }
        Ok(Saved { artifact, tokens, recent, states, note })
    }

    fn tokens(&mut self) -> Result<Vec<u32>, RuntimeError> {
        let count = self.count()?;
        let bytes = self.take(count.checked_mul(size_of::<u32>()).ok_or_else(cut_off)?)?;
        Ok(bytes.as_chunks().0.iter().map(|token| u32::from_le_bytes(*token)).collect())
    }

    fn state(&mut self) -> Result<SavedState<'a>, RuntimeError> {
        let length = self.count()?;
        let name = std::str::from_utf8(self.take(length)?).map_err(|_| wrong("the name of a state is not UTF-8"))?;
        let size = self.size()?;
        let (mut runs, mut end) = (Vec::new(), 0usize);
        while end < size {
            let (zeros, count) = (self.count()?, self.count()?);
            let (start, bytes) = (end.saturating_add(zeros), self.take(count)?);
            runs.push(Run { start, bytes });
            end = start.saturating_add(count);
        }
        if end > size {
            return Err(wrong(format!("it is damaged: `{name}` has more than its {size} bytes")));
        }
        Ok(SavedState { name, size, runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Writer(HashingWriter::new(&mut out)).state(bytes).unwrap();
        out
    }

    fn read_runs(bytes: &[u8], encoded: &[u8]) -> Result<Vec<u8>, RuntimeError> {
        let named = [&0u32.to_le_bytes(), encoded].concat();
        let mut reader = Reader(&named);
        let state = reader.state()?;
        assert!(reader.0.is_empty());
        let mut read = vec![0; bytes.len()];
        for Run { start, bytes } in state.runs {
            read[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Ok(read)
    }

    #[test]
    fn zeros_take_no_space() {
        for lengths in [vec![], vec![1], vec![64, 64], vec![0, 640, 100], vec![1000, 1000, 7], vec![0, 5000]] {
            let parts = lengths.iter().enumerate().map(|(part, length)| vec![(part % 2 * 7) as u8; *length]);
            let bytes: Vec<u8> = parts.flatten().collect();
            let encoded = runs_of(&bytes);
            assert_eq!(read_runs(&bytes, &encoded).unwrap(), bytes);
            let others: usize = lengths.iter().skip(1).step_by(2).sum();
            assert!(encoded.len() <= 8 + others + 2 * BLOCK + 16 * lengths.len(), "{lengths:?}: {}", encoded.len());
        }
    }

    #[test]
    fn runs_beyond_a_state_are_refused() {
        let bytes = [1; 100];
        let mut encoded = runs_of(&bytes);
        assert!(read_runs(&bytes, &encoded[..encoded.len() - 1]).is_err());
        encoded[0] = 99;
        assert!(read_runs(&bytes, &encoded).is_err());
        let huge = [u64::MAX.to_le_bytes().as_slice(), &[255; 8]].concat();
        assert!(read_runs(&bytes, &huge).is_err());
    }

    #[test]
    fn other_files_are_told_apart() {
        let problem = |bytes: &[u8]| Saved::read(bytes).err().map(|error| error.to_string()).unwrap_or_default();
        let sealed = |contents: &[u8]| [contents, &hash(contents)].concat();
        assert!(
            problem(b"").contains("this is not a saved state")
                && problem(b"{\"messages\": []}").contains("this is not a saved state")
        );
        assert!(problem(b"lwxstate\x07\0\0\0").contains("version 7"));
        assert!(problem(b"lwxstate\x01\0\0\0").contains("too early"));
        assert!(problem(&[b"lwxstate\x01\0\0\0".as_slice(), &[0; 94]].concat()).contains("hash"));
        let whole = [b"lwxstate\x01\0\0\0".as_slice(), &[0; 32 + 4 + 4 + 4 + 8]].concat();
        assert!(Saved::read(&sealed(&whole)).is_ok_and(|saved| saved.tokens.is_empty()));
        assert!(problem(&sealed(&whole[..whole.len() - 1])).contains("too early"));
        assert!(problem(&sealed(&[whole, vec![0]].concat())).contains("left"));
        let many = [b"lwxstate\x01\0\0\0".as_slice(), &[0; 32], &[255; 4]].concat();
        assert!(problem(&sealed(&many)).contains("too early"));
    }
}
