//! Models by path.

use crate::error::ImportError;
use crate::options::ImportOptions;
use crate::program::Program;
use crate::{families, onnx};
use std::path::Path;

/// Whether this is a language model: a folder, or a GGUF file by its name.
pub fn is_language_model(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|extension| extension == "gguf")
}

/// Reads a model as it stands in its file: ONNX, GGUF, or a Hugging Face folder.
///
/// # Errors
/// [`ImportError`].
pub fn load(path: &Path, options: &ImportOptions) -> Result<Program, ImportError> {
    if is_language_model(path) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        return Ok(Program::from_language(&name, families::load(path, &options.language)?));
    }
    Ok(onnx::import(path, options)?.into())
}
