//! What a model's path says.

use std::path::Path;

/// Whether this is a language model: a folder, or a GGUF file by its name.
pub fn is_language_model(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|extension| extension == "gguf")
}
