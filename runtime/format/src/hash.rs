use sha2::{Digest, Sha256};
use std::io::{self, Write};

pub(crate) const HASH_BYTES: usize = 32;
/// A SHA-256 hash.
pub type Hash = [u8; HASH_BYTES];

/// SHA-256.
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Writes bytes through and hashes those since the last call of [`HashingWriter::take`].
pub struct HashingWriter<W> {
    out: W,
    hasher: Sha256,
    written: u64,
}

impl<W: Write> HashingWriter<W> {
    /// A writer that writes everything to `out`.
    pub fn new(out: W) -> Self {
        Self { out, hasher: Sha256::new(), written: 0 }
    }

    /// The hash of all bytes since the last call.
    pub fn take(&mut self) -> Hash {
        std::mem::take(&mut self.hasher).finalize().into()
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or(bytes));
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
