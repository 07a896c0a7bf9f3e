//! All errors of the program and their exit codes.

use lostwax_compiler::error::CompileError;
use lostwax_import::{CheckReport, ImportError};
use lostwax_ir::eval::EvalError;
use lostwax_passes::PassError;
use lostwax_runtime::RuntimeError;
use lostwax_runtime::exit_code::of_format;
use lostwax_serve::ServeError;
use lostwax_target_api::EmitError;
use std::error::Error as _;
use std::path::PathBuf;
use thiserror::Error;

pub use lostwax_runtime::exit_code::{LIMIT, MISMATCH, UNSUPPORTED_MODEL, USAGE};

/// Why a verb failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// The arguments are invalid.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Stdout(std::io::Error),
    /// A file does not hold what it should.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The model cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The model cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The artifact cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The model cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The reference interpreter cannot run the model.
    #[error("the reference interpreter cannot run the model: {0}")]
    Reference(#[from] EvalError),
}

impl CliError {
    pub fn usage(problem: impl Into<String>) -> Self {
        Self::Usage(problem.into())
    }

    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub fn file(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }

    /// The message with all causes that it does not repeat.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !text.contains(&message) {
                text = format!("{text}: {message}");
            }
            cause = error.source();
        }
        text
    }

    /// What a model needs that is not supported, if that is why the verb failed.
    pub fn unsupported(&self) -> Option<&CheckReport> {
        match self {
            CliError::Import(ImportError::UnsupportedOperators(report)) => Some(report),
            _ => None,
        }
    }

    /// Whether whoever read standard output has gone away, as `head` does. That is not a failure.
    pub fn is_closed_stdout(&self) -> bool {
        matches!(self, CliError::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) | CliError::Io { .. } | CliError::Stdout(_) | CliError::File { .. } => USAGE,
            CliError::Import(error) => import_code(error),
            CliError::Compile(error) => compile_code(error),
            CliError::Runtime(error) => error.exit_code(),
            CliError::Serve(error) => error.exit_code(),
            CliError::Reference(_) => MISMATCH,
        }
    }
}

fn import_code(error: &ImportError) -> u8 {
    match error {
        ImportError::Io { .. }
        | ImportError::NotAModel { .. }
        | ImportError::EntryPoints { .. }
        | ImportError::DuplicateOperator { .. }
        | ImportError::DuplicateArchitecture { .. } => USAGE,
        ImportError::Invalid { .. } | ImportError::Unsupported { .. } | ImportError::UnsupportedOperators(_) => UNSUPPORTED_MODEL,
        ImportError::LimitExceeded { .. } => LIMIT,
    }
}

fn compile_code(error: &CompileError) -> u8 {
    match error {
        CompileError::Io { .. } | CompileError::UnknownTarget { .. } | CompileError::UnknownLevel { .. } => USAGE,
        CompileError::EntryPoint { .. } | CompileError::Slow { .. } => UNSUPPORTED_MODEL,
        CompileError::Emit(EmitError::LimitExceeded { .. })
        | CompileError::MemoryLimit { .. }
        | CompileError::SizeLimit { .. } => LIMIT,
        CompileError::Pass(PassError::UnknownName { .. }) => USAGE,
        CompileError::Pass(PassError::Unsupported { .. }) | CompileError::Emit(EmitError::Unsupported { .. }) => {
            UNSUPPORTED_MODEL
        }
        CompileError::Format(error) => of_format(error),
        CompileError::Pass(_) | CompileError::Emit(_) | CompileError::Internal { .. } => MISMATCH,
    }
}
