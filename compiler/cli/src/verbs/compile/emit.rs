//! What `--emit` writes beside the artifact.

use crate::error::CliError;
use crate::output::OutputFile;
use lostwax_compiler::pipeline::Compiled;
use lostwax_ir::text::print_kernel;
use lostwax_target_api::OutputKind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file per variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// An object file with one function per kernel.
    Object,
    /// A C header for the object file.
    Header,
    /// The code as text.
    Asm,
    /// The kernels as text.
    Ir,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Kind::Object => "o",
            Kind::Header => "h",
            Kind::Asm => "s",
            Kind::Ir => "kernels",
        }
    }

    /// What the target writes for it; the kernels are written by the program itself.
    fn output(self) -> Option<OutputKind> {
        match self {
            Kind::Object => Some(OutputKind::Object),
            Kind::Header => Some(OutputKind::Header),
            Kind::Asm => Some(OutputKind::Listing),
            Kind::Ir => None,
        }
    }

    fn content(self, compiled: &Compiled, position: usize) -> Vec<u8> {
        match self.output() {
            Some(output) => compiled.outputs.get(position).and_then(|outputs| outputs.get(&output)).cloned().unwrap_or_default(),
            None => kernels(compiled, position).into_bytes(),
        }
    }
}

/// What targets must write for these kinds.
pub fn outputs(kinds: &[Kind]) -> BTreeSet<OutputKind> {
    kinds.iter().filter_map(|kind| kind.output()).collect()
}

/// Writes the files of these kinds, as `BASE.VARIANT.EXTENSION`, and gives their names.
pub fn write(base: &Path, kinds: &[Kind], compiled: &Compiled) -> Result<Vec<PathBuf>, CliError> {
    let mut written = Vec::new();
    for (position, variant) in compiled.assembled.plan.variants.iter().enumerate() {
        for kind in kinds {
            let mut name = base.file_name().unwrap_or_default().to_os_string();
            name.push(format!(".{}.{}", variant.name, kind.extension()));
            let path = base.with_file_name(name);
            OutputFile::write(&path, &kind.content(compiled, position))?;
            written.push(path);
        }
    }
    Ok(written)
}

fn kernels(compiled: &Compiled, position: usize) -> String {
    let kernels = compiled.assembled.kernels.get(position).map_or(&[][..], Vec::as_slice);
    kernels.iter().map(print_kernel).collect::<Vec<_>>().join("\n")
}
