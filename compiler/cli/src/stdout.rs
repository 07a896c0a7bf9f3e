//! Standard output, whose errors are errors.

use crate::error::CliError;
use std::io::{self, Read, Write};

/// Writes a text at once.
pub fn write(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Stdout)
}

/// Writes all bytes of a source.
pub fn copy(mut source: impl Read) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    io::copy(&mut source, &mut out).and_then(|_| out.flush()).map_err(CliError::Stdout)
}
