//! Compiling in one call, by options.

use crate::error::CompileError;
use crate::level::Level;
use crate::pipeline::{self, Compiled, Settings, Stage};
use crate::registry::{Registry, SelectedTarget};
use lostwax_import::ImportOptions;
use lostwax_import::program::{EntryGraph, Program};
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
    /// Bytes of working memory that the model may need at the sizes of [`crate::plan_sizes`].
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
    pub fn selections(&self, registry: &Registry) -> Result<Vec<SelectedTarget>, CompileError> {
        if self.targets.is_empty() {
            return Ok(vec![registry.select(registry.default_target()?)?]);
        }
        self.targets.iter().map(|text| registry.select(text)).collect()
    }

    /// The context of the passes, with the registry of the compiler.
    fn context(&self, registry: &Registry) -> Context {
        Context { registry: Arc::clone(&registry.passes), ..self.passes.clone() }
    }

    fn level<'a>(&self, registry: &'a Registry) -> Result<&'a Level, CompileError> {
        registry.level(self.level.unwrap_or(registry.highest_level()))
    }

    fn settings<'a>(
        &'a self,
        registry: &'a Registry,
        targets: &'a [SelectedTarget],
        progress: &'a mut dyn FnMut(Stage),
    ) -> Result<Settings<'a>, CompileError> {
        let (level, max_memory) = (self.level(registry)?, self.max_memory);
        Ok(Settings { targets, level, max_memory, strict: self.strict, outputs: &self.outputs, progress })
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
    let mut settings = options.settings(registry, &targets, progress)?;
    pipeline::run(registry, program, &options.context(registry), &mut settings, out)
}

/// Optimizes a model: the graphs that [`compile`] makes kernels of.
///
/// # Errors
/// As [`pipeline::run`].
pub fn optimize(
    registry: &Registry,
    program: &Program,
    options: &CompileOptions,
    progress: &mut dyn FnMut(Stage),
) -> Result<Vec<EntryGraph>, CompileError> {
    let targets = options.selections(registry)?;
    let mut settings = options.settings(registry, &targets, progress)?;
    pipeline::optimize(program, &options.context(registry), &mut settings)
}

/// The context of the passes that [`compile`] runs on a model, with the costs of its targets and without what the level leaves out.
///
/// # Errors
/// [`CompileError::UnknownTarget`], [`CompileError::UnknownLevel`], and what a target reports about its specification.
pub fn context(registry: &Registry, program: &Program, options: &CompileOptions) -> Result<Context, CompileError> {
    let context = pipeline::context(program, &options.context(registry), &options.selections(registry)?);
    Ok(options.level(registry)?.context(&context))
}
