//! What a model's file says of its architecture, whichever format it has.

use crate::gguf::{FromValue, Gguf};
use crate::safetensors::{Config, FromJson, HfFolder};
use crate::{ImportError, Weights};
use serde_json::Value;
use std::path::Path;

/// The key of one setting in both formats; empty where a format does not have it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// In GGUF files, after the name of the architecture.
    pub gguf: &'static str,
    /// In `config.json`.
    pub folder: &'static str,
}

const fn key(gguf: &'static str, folder: &'static str) -> Key {
    Key { gguf, folder }
}

/// The size of a token's vector.
pub const HIDDEN: Key = key("embedding_length", "hidden_size");
/// The number of layers.
pub const LAYERS: Key = key("block_count", "num_hidden_layers");
/// The number of query heads.
pub const HEADS: Key = key("attention.head_count", "num_attention_heads");
/// The number of heads of keys and values.
pub const KV_HEADS: Key = key("attention.head_count_kv", "num_key_value_heads");
/// The size of a head.
pub const HEAD_DIM: Key = key("attention.key_length", "head_dim");
/// The size of the values of a head.
pub const VALUE_DIM: Key = key("attention.value_length", "");
/// The width of the feed-forward network.
pub const FEED_FORWARD: Key = key("feed_forward_length", "intermediate_size");
/// The number of tokens that the model was trained for.
pub const CONTEXT: Key = key("context_length", "max_position_embeddings");
/// What root-mean-square norms add to the mean square.
pub const RMS_EPSILON: Key = key("attention.layer_norm_rms_epsilon", "rms_norm_eps");
/// What layer norms add to the variance.
pub const LAYER_EPSILON: Key = key("attention.layer_norm_epsilon", "layer_norm_eps");
/// The number of tokens that a token attends to in sliding-window layers.
pub const WINDOW: Key = key("attention.sliding_window", "sliding_window");

/// The types that settings of both formats can be read as.
pub trait Setting: for<'a> FromValue<'a> + for<'a> FromJson<'a> {}
impl<T: for<'a> FromValue<'a> + for<'a> FromJson<'a>> Setting for T {}

/// A model's settings and weights.
pub struct Settings {
    /// The file or folder.
    pub source: Source,
    /// The name of the architecture, as the format names it.
    pub architecture: String,
}

/// A file or folder.
pub enum Source {
    /// A GGUF file.
    Gguf(Gguf),
    /// A Hugging Face folder.
    Folder(HfFolder),
}

impl Settings {
    /// Opens a GGUF file or a Hugging Face folder.
    ///
    /// # Errors
    /// [`ImportError`] naming the file, key or tensor.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let source = if path.is_dir() { Source::Folder(HfFolder::open(path)?) } else { Source::Gguf(Gguf::open(path)?) };
        let architecture = match &source {
            Source::Gguf(gguf) => gguf.metadata().get::<&str>("general.architecture")?.to_string(),
            Source::Folder(folder) => class(folder.config())?,
        };
        Ok(Self { source, architecture })
    }

    /// Whether this is a GGUF file.
    pub fn is_gguf(&self) -> bool {
        matches!(self.source, Source::Gguf(_))
    }

    /// The tensors.
    pub fn weights(&self) -> &Weights {
        match &self.source {
            Source::Gguf(gguf) => gguf.weights(),
            Source::Folder(folder) => folder.weights(),
        }
    }

    /// `config.json`, for folders.
    pub fn config(&self) -> Option<&Config> {
        if let Source::Folder(folder) = &self.source { Some(folder.config()) } else { None }
    }

    /// The whole name of a setting, for errors.
    pub fn name(&self, key: Key) -> String {
        if self.is_gguf() { self.gguf_key(key) } else { key.folder.to_string() }
    }

    fn gguf_key(&self, key: Key) -> String {
        format!("{}.{}", self.architecture, key.gguf)
    }

    /// A setting, if it is there.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] naming the setting, when its value is of another kind.
    pub fn find<T: Setting>(&self, key: Key) -> Result<Option<T>, ImportError> {
        match &self.source {
            Source::Gguf(_) if key.gguf.is_empty() => Ok(None),
            Source::Gguf(gguf) => gguf.metadata().find(&self.gguf_key(key)),
            Source::Folder(folder) => folder.config().find(key.folder),
        }
    }

    /// A setting that must be there.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] naming the setting, when it is missing or its value is of another kind.
    pub fn get<T: Setting>(&self, key: Key) -> Result<T, ImportError> {
        match &self.source {
            Source::Gguf(gguf) => gguf.metadata().get(&self.gguf_key(key)),
            Source::Folder(folder) => folder.config().get(key.folder),
        }
    }

    /// A size that must be there and not be 0.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] naming the setting, when it is missing, 0 or of another kind.
    pub fn size(&self, key: Key) -> Result<usize, ImportError> {
        match self.get(key)? {
            0 => Err(self.invalid(key, "it is 0")),
            size => Ok(size),
        }
    }

    /// A string, if it is there.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] naming the setting, when its value is of another kind.
    pub fn text(&self, key: Key) -> Result<Option<&str>, ImportError> {
        match &self.source {
            Source::Gguf(_) if key.gguf.is_empty() => Ok(None),
            Source::Gguf(gguf) => gguf.metadata().find(&self.gguf_key(key)),
            Source::Folder(folder) => folder.config().find(key.folder),
        }
    }

    /// A list of strings, if it is there; GGUF files have none.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] naming the setting, when its value is of another kind.
    pub fn texts(&self, key: Key) -> Result<Option<Vec<&str>>, ImportError> {
        let Source::Folder(folder) = &self.source else { return Ok(None) };
        folder.config().find(key.folder)
    }

    /// The setting breaks a rule.
    pub fn invalid(&self, key: Key, problem: impl Into<String>) -> ImportError {
        ImportError::invalid("setting", &self.name(key), problem)
    }

    /// The setting has a form that is not supported.
    pub fn unsupported(&self, key: Key, what: impl Into<String>) -> ImportError {
        ImportError::unsupported("setting", &self.name(key), what)
    }
}

/// The class of a model in a folder.
fn class(config: &Config) -> Result<String, ImportError> {
    let classes: Vec<&str> = config.get("architectures")?;
    let missing = || ImportError::invalid("setting", "architectures", "it is empty");
    classes.first().map(ToString::to_string).ok_or_else(missing)
}

/// An object inside of an object.
pub type Object = serde_json::Map<String, Value>;
