//! A file while it is made.

use crate::error::CliError;
use lostwax_compiler::error::CompileError;
use lostwax_runtime::format::FormatError;
use lostwax_runtime::{Model, RuntimeError};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file beside its place, which takes its name at the end: nobody sees half of it, and readers of an older one are not
/// disturbed. Made with the first bytes; removed when dropped before [`Draft::keep`].
pub struct Draft {
    target: PathBuf,
    path: PathBuf,
    file: Option<BufWriter<File>>,
    hasher: Sha256,
    failed: bool,
}

impl Draft {
    /// A draft without bytes.
    pub fn new(target: &Path) -> Self {
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(".part");
        let path = target.with_file_name(name);
        Self { target: target.to_path_buf(), path, file: None, hasher: Sha256::new(), failed: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets `write` write all of it.
    pub fn fill<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, CliError>) -> Result<T, CliError> {
        let written = write(self);
        written.map_err(|error| self.explain(error))
    }

    /// The model in it.
    pub fn open(&self) -> Result<Model, CliError> {
        Ok(Model::open(&self.path)?)
    }

    /// Gives the file its name, and its hash to the caller.
    pub fn keep(mut self) -> Result<[u8; 32], CliError> {
        self.flush().map_err(CliError::io(&self.path))?;
        fs::rename(&self.path, &self.target).map_err(CliError::io(&self.target))?;
        self.file = None;
        Ok(std::mem::take(&mut self.hasher).finalize().into())
    }

    fn file(&mut self) -> io::Result<&mut BufWriter<File>> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(File::create(&self.path)?));
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Names the file if that is what could not be written.
    fn explain(&self, error: CliError) -> CliError {
        match error {
            CliError::Compile(CompileError::Format(FormatError::Io(source)))
            | CliError::Runtime(RuntimeError::Artifact(FormatError::Io(source)))
                if self.failed =>
            {
                CliError::Io { path: self.path.clone(), source }
            }
            other => other,
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file().and_then(|file| file.write(bytes));
        self.failed |= written.is_err();
        self.hasher.update(bytes.get(..*written.as_ref().unwrap_or(&0)).unwrap_or_default());
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file().and_then(BufWriter::flush);
        self.failed |= flushed.is_err();
        flushed
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // A failure is on its way to the user already.
            let _ = fs::remove_file(&self.path);
        }
    }
}
