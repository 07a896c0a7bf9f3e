//! The reader of Hugging Face folders.
//!
//! A folder holds `config.json`, weights in `model.safetensors` or in shards that `model.safetensors.index.json` lists, and
//! perhaps `generation_config.json`, `tokenizer.json` and `tokenizer_config.json`. Weight files are mapped; tensors are views.

mod config;
mod file;

#[cfg(test)]
mod tests;

pub use config::{Config, FromJson};

use super::{ImportError, Weights};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A model in a Hugging Face folder.
#[derive(Clone)]
pub struct HfFolder {
    path: PathBuf,
    config: Config,
    generation_config: Option<Config>,
    weights: Weights,
}

impl HfFolder {
    /// Reads the settings and maps the weights. Nobody may change the files while they are in use.
    ///
    /// # Errors
    /// [`ImportError`], naming the file.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let generation = path.join("generation_config.json");
        Ok(Self {
            path: path.to_path_buf(),
            config: Config::read(&path.join("config.json"))?,
            generation_config: generation.exists().then(|| Config::read(&generation)).transpose()?,
            weights: open_weights(path)?,
        })
    }

    /// The contents of `config.json`.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The contents of `generation_config.json`, if there is one.
    pub fn generation_config(&self) -> Option<&Config> {
        self.generation_config.as_ref()
    }

    /// The path of `tokenizer.json`, if there is one.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        self.file("tokenizer.json")
    }

    /// The path of `tokenizer_config.json`, if there is one.
    pub fn tokenizer_config(&self) -> Option<PathBuf> {
        self.file("tokenizer_config.json")
    }

    /// The tensors, in the order of the shards' names and of the data in them.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The path of another file of the folder, if there is one.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.join(name)).filter(|path| path.exists())
    }
}

fn open_weights(folder: &Path) -> Result<Weights, ImportError> {
    let (single, index) = (folder.join(WEIGHTS), folder.join(INDEX));
    let mut weights = Weights::default();
    if single.exists() || !index.exists() {
        file::add(&mut weights, &single)?;
    } else {
        add_shards(&mut weights, folder, &index)?;
    }
    Ok(weights)
}

/// Adds all shards of an index, and checks that each tensor of the index is in one of them.
fn add_shards(weights: &mut Weights, folder: &Path, index: &Path) -> Result<(), ImportError> {
    let invalid = |problem: String| ImportError::invalid("file", &index.display().to_string(), problem);
    let config = Config::read(index)?;
    let places = config.get::<&serde_json::Map<String, Value>>("weight_map")?;
    let mut shards = BTreeSet::new();
    for (name, shard) in places {
        let shard = shard.as_str().filter(|shard| is_plain(shard));
        shards.insert(shard.ok_or_else(|| invalid(format!("tensor `{name}` does not name a file of the folder")))?);
    }
    shards.into_iter().try_for_each(|shard| file::add(weights, &folder.join(shard)))?;
    let missing = places.keys().find(|name| weights.get(name).is_none());
    missing.map_or(Ok(()), |name| Err(invalid(format!("tensor `{name}` is in none of the files"))))
}

/// Whether this is the name of a file, and no path.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}
