//! What `--dump-ir` writes.

use super::emit::{self, Kind};
use crate::error::CliError;
use crate::ir_file;
use crate::source;
use lostwax_compiler::model::CompileOptions;
use lostwax_compiler::pipeline::Compiled;
use lostwax_import::program::{EntryGraph, Program};
use std::path::Path;

/// What is written of each variant.
pub const KINDS: &[Kind] = &[Kind::Ir, Kind::Asm];

/// Writes the graphs as imported and as optimized, and kernels and code of each variant. Where there are several entry points,
/// the files of graphs bear their names.
pub fn dump(folder: &Path, program: &Program, compiled: &Compiled, options: &CompileOptions) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
    for EntryGraph { name, graph } in &program.entries {
        let end = if program.entries.len() == 1 { "ir".to_string() } else { format!("{name}.ir") };
        ir_file::write(&folder.join(format!("imported.{end}")), graph)?;
        ir_file::write(&folder.join(format!("optimized.{end}")), &source::optimize(graph, options)?)?;
    }
    emit::write(&folder.join("code"), KINDS, compiled)?;
    Ok(())
}
