//! NumPy's files by path.

use crate::error::CliError;
use crate::npy::{decode, encode, read_archive, write_archive};
use lostwax_runtime::Tensor;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Reads an `.npy` file.
pub fn read_npy(path: &Path) -> Result<Tensor, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::io(path))?;
    decode(&bytes).map_err(|problem| CliError::file(path, problem))
}

/// Reads all tensors of an `.npz` file.
pub fn read_npz(path: &Path) -> Result<Vec<(String, Tensor)>, CliError> {
    let file = File::open(path).map_err(CliError::io(path))?;
    read_archive(BufReader::new(file)).map_err(|problem| CliError::file(path, problem))
}

/// Writes an `.npy` file.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), CliError> {
    let bytes = encode(tensor).map_err(|problem| CliError::file(path, problem))?;
    std::fs::write(path, bytes).map_err(CliError::io(path))
}

/// Writes an `.npz` file.
pub fn write_npz<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<(), CliError> {
    let file = File::create(path).map_err(CliError::io(path))?;
    write_archive(file, tensors).map_err(|problem| CliError::file(path, problem))
}
