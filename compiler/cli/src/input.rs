//! Files that the program reads, beside models.

use crate::error::CliError;
use crate::output::is_standard;
use lostwax_runtime::MappedFile;
use lostwax_runtime::files::{open_file, read_file, read_to_limit};
use std::fs::File;
use std::io;
use std::path::Path;

/// The largest text that is read: a graph, a prompt, a text to measure.
pub const MAX_TEXT_BYTES: u64 = 1 << 30;

/// The largest image that is read.
pub const MAX_IMAGE_BYTES: u64 = 256 << 20;

/// The largest array that is read from stdin. Arrays in files are mapped and have no limit.
const MAX_STDIN_BYTES: u64 = 16 << 30;

/// The name of stdin in errors.
const STDIN: &str = "standard input";

/// Opens a regular file.
pub fn open(path: &Path) -> Result<File, CliError> {
    open_file(path).map_err(CliError::io(path))
}

/// Reads a regular file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    read_file(path, limit).map_err(CliError::io(path))
}

/// Reads a text in UTF-8 from a regular file, or from stdin if the name is `-`.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    let (bytes, name) = match is_standard(path) {
        true => (read_to_limit(io::stdin().lock(), MAX_TEXT_BYTES), Path::new(STDIN)),
        false => (read_file(path, MAX_TEXT_BYTES), path),
    };
    let text = String::from_utf8(bytes.map_err(CliError::io(name))?);
    text.map_err(|error| CliError::file(name, format!("it is not valid UTF-8: {}", error.utf8_error())))
}

/// The bytes of a regular file, mapped, or of stdin if the name is `-`.
pub fn map(path: &Path) -> Result<Box<dyn AsRef<[u8]>>, CliError> {
    if is_standard(path) {
        let bytes = read_to_limit(io::stdin().lock(), MAX_STDIN_BYTES).map_err(CliError::io(STDIN))?;
        return Ok(Box::new(bytes));
    }
    Ok(Box::new(MappedFile::open(path).map_err(CliError::io(path))?))
}
