//! Caches of decoders in files.

use crate::console::Console;
use crate::error::CliError;
use crate::output::OutputFile;
use lostwax_runtime::llm::Generator;
use lostwax_runtime::{MappedFile, RuntimeError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where a cache comes from, and where it goes.
#[derive(Clone, Debug, clap::Args)]
pub struct StateArgs {
    /// Load the KV cache that --save-state wrote for the same artifact: what a prompt shares with it is not computed again.
    #[arg(long, value_name = "FILE")]
    pub load_state: Option<PathBuf>,
    /// Save the KV cache, with everything processed and generated so far, to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub save_state: Option<PathBuf>,
}

/// What a file gave.
pub struct Loaded {
    /// Tokens in the cache.
    pub tokens: usize,
    /// The note that was saved with it.
    pub note: Vec<u8>,
}

/// Puts a saved cache into a generator.
pub fn load(path: &Path, generator: &mut Generator, console: &Console) -> Result<Loaded, CliError> {
    let bytes = MappedFile::open(path).map_err(CliError::io(path))?;
    let note = generator.restore(bytes.as_ref()).map_err(|error| match error {
        RuntimeError::InvalidInput { .. } => CliError::file(path, error.to_string()),
        error => error.into(),
    });
    let loaded = Loaded { note: note?.to_vec(), tokens: generator.cached_tokens().len() };
    console.note(&format!("loaded the state ({} tokens) from {}", loaded.tokens, path.display()));
    Ok(loaded)
}

/// Writes the cache of a generator with a note, and gives the number of its tokens. Nobody sees half of the file.
pub fn save(path: &Path, generator: &mut Generator, note: &[u8], console: &Console) -> Result<usize, CliError> {
    let mut file = OutputFile::create(path)?;
    generator.save(note, &mut file).map_err(|error| file.explain(error.into()))?;
    file.finish()?;
    let tokens = generator.cached_tokens().len();
    console.note(&format!("saved the state ({tokens} tokens) to {}", path.display()));
    Ok(tokens)
}

/// How many tokens were loaded and saved; null where nobody asked for it.
pub fn json(loaded: Option<usize>, saved: Option<usize>) -> Value {
    json!({ "loaded_tokens": loaded, "saved_tokens": saved })
}
