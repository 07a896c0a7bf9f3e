//! Opening the files of models.

use crate::ImportError;
use lostwax_runtime::MappedFile;
use lostwax_runtime::files::read_file;
use std::io;
use std::path::Path;

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
