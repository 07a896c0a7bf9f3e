//! The GGUF reader.
//!
//! GGUF is the file format of ggml: metadata, and tensors in the formats of [`lostwax_ir::blocks`]. Files are mapped and tensors
//! are views of the map. Every number of a header is compared with the size of the file before anything is allocated for it, so
//! memory stays in proportion to the file. Layout after the specification in ggml's `docs/gguf.md`.

mod cursor;
mod header;
mod metadata;
mod types;
mod value;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use metadata::{FromValue, Metadata};
pub use value::{Array, Value};
pub use vocabulary::{Vocabulary, VocabularyError};

use super::{ImportError, WeightView, Weights, files};
use cursor::Cursor;
use std::path::Path;

/// A GGUF file, versions 2 and 3, little endian.
#[derive(Clone)]
pub struct Gguf {
    metadata: Metadata,
    weights: Weights,
}

impl Gguf {
    /// Maps and checks a file. Nobody may change it while it is in use.
    ///
    /// # Errors
    /// [`ImportError`], naming the key or tensor.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let file = files::map(path)?;
        let (metadata, entries) = header::read(file.as_ref())?;
        let mut weights = Weights::default();
        weights.add(file, entries).map_err(|name| ImportError::invalid("tensor", &name, "the name occurs twice"))?;
        Ok(Self { metadata, weights })
    }

    /// Keys and values, in the order of the file.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The tensors, in the order of the file. ggml counts dims from the innermost; here they are outermost first.
    pub fn tensors(&self) -> impl Iterator<Item = WeightView<'_>> {
        self.weights.iter()
    }

    /// The tensors by name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }
}
