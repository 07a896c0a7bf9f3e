//! Results of a run as files.

use super::npy::{write_npy, write_npz};
use crate::error::CliError;
use crate::npy::holds;
use crate::output::is_standard;
use lostwax_runtime::{Outputs, TensorInfo};
use std::path::Path;

/// Checks, before anything runs, that a file of that name can hold the outputs.
pub fn check_outputs(path: &Path, outputs: &[TensorInfo]) -> Result<(), CliError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if extension == Some("npy") && outputs.len() != 1 {
        return Err(CliError::usage(format!("an .npy file holds one tensor, there are {}; use .npz", outputs.len())));
    }
    let foreign = outputs.iter().find(|output| !holds(&output.dtype));
    foreign.map_or(Ok(()), |TensorInfo { name, dtype, .. }| {
        let problem = format!(
            "output `{name}` is {dtype}, which NumPy's files cannot hold; run without -o, and with --json for the values"
        );
        Err(CliError::file(path, problem))
    })
}

/// Writes all outputs to an `.npz` file, which goes to stdout if the name is `-`, or the only one to an `.npy` file.
pub fn write_outputs(path: &Path, outputs: &Outputs) -> Result<(), CliError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        _ if is_standard(path) => write_npz(path, outputs.iter()),
        Some("npz") => write_npz(path, outputs.iter()),
        Some("npy") => write_only(path, outputs),
        Some(_) | None => Err(CliError::usage(format!("-o {}: the name must end in .npz or .npy", path.display()))),
    }
}

fn write_only(path: &Path, outputs: &Outputs) -> Result<(), CliError> {
    match outputs.iter().collect::<Vec<_>>().as_slice() {
        [(_, tensor)] => write_npy(path, tensor),
        several => Err(CliError::usage(format!("an .npy file holds one tensor, there are {}; use .npz", several.len()))),
    }
}
