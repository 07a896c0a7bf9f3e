//! Compiling in one call, by options.

use crate::error::CompileError;
use crate::pipeline::{self, Compiled, Settings, Stage};
use crate::registry::{Registry, Selection};
use lostwax_import::ImportOptions;
use lostwax_import::program::Program;
use lostwax_passes::Context;
use lostwax_target_api::OutputKind;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

/// How a model is compiled.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// How the file is read.
    pub import: ImportOptions,
    /// How the graph is rewritten; its registry is that of the compiler.
    pub passes: Context,
    /// Targets as `NAME` or `NAME:SPECIFICATION`; none for the default target.
    pub targets: Vec<String>,
    /// Bytes of working memory that the model may need at typical sizes.
    pub max_memory: Option<u64>,
    /// The optimization level, a number of [`Registry::levels`]; none for the highest.
    pub level: Option<u8>,
    /// Whether to refuse what runs slower than it could.
    pub strict: bool,
    /// What to write beside the artifact.
    pub outputs: BTreeSet<OutputKind>,
}

impl CompileOptions {
    /// The targets with their variants.
    ///
    /// # Errors
    /// As [`Registry::select`].
    pub fn selections(&self, registry: &Registry) -> Result<Vec<Selection>, CompileError> {
        if self.targets.is_empty() {
            return Ok(vec![registry.select(registry.default_target()?)?]);
        }
        self.targets.iter().map(|text| registry.select(text)).collect()
    }
}

/// Optimizes a model and compiles it; the artifact goes to `out`.
///
/// # Errors
/// As [`pipeline::run`].
pub fn compile(
    registry: &Registry,
    program: &Program,
    options: &CompileOptions,
    progress: &mut dyn FnMut(Stage),
    out: &mut dyn Write,
) -> Result<Compiled, CompileError> {
    let targets = options.selections(registry)?;
    let mut settings = Settings {
        targets: &targets,
        level: registry.level(options.level.unwrap_or(registry.highest_level()))?,
        max_memory: options.max_memory,
        strict: options.strict,
        outputs: &options.outputs,
        progress,
    };
    let passes = Context { registry: Arc::clone(&registry.passes), ..options.passes.clone() };
    pipeline::run(registry, program, &passes, &mut settings, out)
}
