//! NumPy's files by path.

use crate::error::CliError;
use crate::input;
use crate::npy::{decode, read_archive, write, write_archive};
use crate::output::OutputFile;
use lostwax_runtime::Tensor;
use std::io::BufReader;
use std::path::Path;

/// Reads an `.npy` file, from stdin if the name is `-`.
pub fn read_npy(path: &Path) -> Result<Tensor, CliError> {
    let bytes = input::map(path)?;
    decode((*bytes).as_ref()).map_err(|problem| CliError::file(path, problem))
}

/// Reads all tensors of an `.npz` file.
pub fn read_npz(path: &Path) -> Result<Vec<(String, Tensor)>, CliError> {
    read_archive(BufReader::new(input::open(path)?)).map_err(|problem| CliError::file(path, problem))
}

/// Writes an `.npy` file.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), CliError> {
    let mut file = OutputFile::create(path)?;
    write(tensor, &mut file).map_err(|problem| CliError::file(path, problem))?;
    file.finish()
}

/// Writes an `.npz` file, to stdout if the name is `-`.
pub fn write_npz<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<(), CliError> {
    let mut file = OutputFile::create(path)?;
    write_archive(&mut file, tensors).map_err(|problem| CliError::file(path, problem))?;
    file.finish()
}
