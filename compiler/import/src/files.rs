//! Opening the files of models.

use crate::error::ImportError;
use crate::file_kind::FileKind;
use lostwax_runtime::MappedFile;
use lostwax_runtime::files::{open_file, read_file};
use std::io::{self, Read};
use std::path::Path;

/// The bytes at the start of a file that decide what it is.
const START_BYTES: u64 = 4096;

/// What a file or folder is. Contents decide; a name that ends in `.onnx` does so only for contents that are not known.
///
/// # Errors
/// [`ImportError::Io`] if it cannot be read.
pub fn file_kind(path: &Path) -> Result<FileKind, ImportError> {
    let failed = |source| ImportError::Io { path: path.to_path_buf(), source };
    if path.is_dir() {
        return Ok(FileKind::Folder);
    }
    let file = open_file(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut start = Vec::new();
    file.take(START_BYTES).read_to_end(&mut start).map_err(failed)?;
    let is_named_onnx = path.extension().is_some_and(|extension| extension == "onnx");
    Ok(match FileKind::of_bytes(&start, length) {
        FileKind::Unknown if is_named_onnx => FileKind::Onnx,
        kind => kind,
    })
}

/// Maps a regular file. Nobody may change it while it is in use.
pub(crate) fn map(path: &Path) -> Result<MappedFile, ImportError> {
    MappedFile::open(path).map_err(|source| failed(path, source))
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ImportError> {
    read_file(path, limit).map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> ImportError {
    match source.kind() {
        io::ErrorKind::FileTooLarge => ImportError::limit("file", &path.display().to_string(), source.to_string()),
        _ => ImportError::Io { path: path.to_path_buf(), source },
    }
}
