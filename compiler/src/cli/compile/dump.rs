//! What `--dump-ir` writes.

use super::emit::{self, Kind};
use crate::cli::error::CliError;
use crate::cli::ir_file;
use crate::cli::source;
use lostwax::model::CompileOptions;
use lostwax::pipeline::Compiled;
use lostwax_ir::graph::Graph;
use std::path::Path;

/// What is written of each variant.
pub const KINDS: &[Kind] = &[Kind::Ir, Kind::Asm];

/// Writes the graph as imported and as optimized, and kernels and code of each variant.
pub fn dump(folder: &Path, graph: &Graph, compiled: &Compiled, options: &CompileOptions) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
    ir_file::write(&folder.join("imported.ir"), graph)?;
    ir_file::write(&folder.join("optimized.ir"), &source::optimize(graph, options)?)?;
    emit::write(&folder.join("code"), KINDS, compiled)?;
    Ok(())
}
