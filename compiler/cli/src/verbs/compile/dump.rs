//! What `--dump-ir` writes.

use super::emit::{self, Kind};
use crate::error::CliError;
use crate::ir_file;
use lostwax_compiler::pipeline::Compiled;
use lostwax_import::program::{EntryGraph, Program};
use std::path::Path;

/// What is written of each variant.
pub const KINDS: &[Kind] = &[Kind::Ir, Kind::Asm];

/// Writes the graphs as imported and as optimized, and kernels and code of each variant. Where there are several entry points,
/// the files of graphs bear their names.
pub fn dump(folder: &Path, program: &Program, compiled: &Compiled) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
    for (stage, graphs) in [("imported", &program.entries), ("optimized", &compiled.graphs)] {
        for EntryGraph { name, graph } in graphs {
            let end = if graphs.len() == 1 { "ir".to_string() } else { format!("{name}.ir") };
            ir_file::write(&folder.join(format!("{stage}.{end}")), graph)?;
        }
    }
    emit::write(&folder.join("code"), KINDS, compiled)?;
    Ok(())
}
