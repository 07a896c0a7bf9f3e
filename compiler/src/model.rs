//! Compiling in one call, by options.

use crate::error::CompileError;
use crate::level::{self, Level};
use crate::pipeline::{self, Compiled, Settings, Stage};
use crate::targets::{Selection, default_target, select};
use lostwax_import::ImportOptions;
use lostwax_import::program::Program;
use lostwax_passes::Context;
use lostwax_target_api::Form;
use std::collections::BTreeSet;
use std::io::Write;

/// How a model is compiled.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// How the file is read.
    pub import: ImportOptions,
    /// How the graph is rewritten.
    pub passes: Context,
    /// Targets as `NAME` or `NAME:SPECIFICATION`.
    pub targets: Vec<String>,
    /// Bytes of working memory that the model may need at typical sizes.
    pub max_memory: Option<u64>,
    /// How much is optimized, from 0 to 3; see [`crate::level`].
    pub level: u8,
    /// Whether to refuse what runs slower than it could.
    pub strict: bool,
    /// The forms of the code to keep beside the artifact.
    pub forms: BTreeSet<Form>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            import: ImportOptions::default(),
            passes: Context::default(),
            targets: vec![default_target().to_string()],
            max_memory: None,
            level: level::HIGHEST,
            strict: false,
            forms: BTreeSet::new(),
        }
    }
}

/// Optimizes a model and compiles it; the artifact goes to `out`.
///
/// # Errors
/// As [`pipeline::run`].
pub fn compile(
    program: &Program,
    options: &CompileOptions,
    progress: &mut dyn FnMut(Stage),
    out: &mut dyn Write,
) -> Result<Compiled, CompileError> {
    let targets: Vec<Selection> = options.targets.iter().map(|text| select(text)).collect::<Result<_, _>>()?;
    let mut settings = Settings {
        targets: &targets,
        level: Level::from_number(options.level),
        max_memory: options.max_memory,
        strict: options.strict,
        forms: &options.forms,
        progress,
    };
    pipeline::run(program, &options.passes, &mut settings, out)
}
