//! What `--dump-ir` writes.

use crate::cli::error::CliError;
use crate::cli::ir_file;
use crate::cli::settings::CompileArgs;
use crate::cli::source;
use lostwax::model::CompileOptions;
use lostwax::pipeline::Compiled;
use lostwax_ir::graph::Graph;
use lostwax_ir::text::print_kernel;
use std::path::Path;

/// Writes the graph as imported and as optimized, and kernels and code of each variant.
pub fn dump(
    folder: &Path,
    graph: &Graph,
    compiled: &Compiled,
    args: &CompileArgs,
    options: &CompileOptions,
) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
    ir_file::write(&folder.join("imported.ir"), graph)?;
    ir_file::write(&folder.join("optimized.ir"), &source::optimize(graph, args.level, options)?)?;
    for (position, variant) in compiled.assembled.plan.variants.iter().enumerate() {
        let kernels = compiled.assembled.kernels.get(position).map_or(&[][..], Vec::as_slice);
        let text: Vec<String> = kernels.iter().map(print_kernel).collect();
        write(folder, &format!("{}.kernels", variant.name), &text.join("\n"))?;
        if let Some(listing) = compiled.listings.get(position) {
            write(folder, &format!("{}.s", variant.name), listing)?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), CliError> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(CliError::io(path))
}
