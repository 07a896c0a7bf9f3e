//! What can go wrong while compiling.

use bytesize::ByteSize;
use lostwax_format::FormatError;
use lostwax_ir::suggest::unknown;
use lostwax_passes::PassError;
use lostwax_target_api::EmitError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a model cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A pass refused the graph.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A target cannot write the code.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The artifact cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// No target has that name.
    #[error("{}", unknown("target", name, known.iter().map(String::as_str)))]
    UnknownTarget {
        /// The name that was asked for.
        name: String,
        /// All names.
        known: Vec<String>,
    },
    /// There is no optimization level of that number.
    #[error("there is no optimization level {number}; levels are 0 to {highest}")]
    UnknownLevel {
        /// The number that was asked for.
        number: u8,
        /// The highest number.
        highest: usize,
    },
    /// An entry point does not fit those before it.
    #[error("entry point `{name}`: {problem}")]
    EntryPoint {
        /// The entry point.
        name: String,
        /// What it must share with the others and does not.
        problem: String,
    },
    /// The model needs more memory than allowed.
    #[error(
        "the model needs {} of working memory{}, but only {} are allowed (--max-memory)", ByteSize(*needed), at_sizes(sizes), ByteSize(*allowed)
    )]
    MemoryLimit {
        /// Bytes of the smallest plan that was found.
        needed: u64,
        /// The limit.
        allowed: u64,
        /// The sizes that the numbers are for, as `NAME = SIZE`.
        sizes: Vec<String>,
    },
    /// The artifact is larger than allowed.
    #[error("the artifact has {} ({parts}), but only {} are allowed (--max-size)", ByteSize(*bytes), ByteSize(*allowed))]
    SizeLimit {
        /// Bytes of the file.
        bytes: u64,
        /// What takes them.
        parts: String,
        /// The limit.
        allowed: u64,
    },
    /// Something runs slower than it could, and that was not allowed.
    #[error("refused because of --strict; these would run slower than possible:\n  {}", problems.join("\n  "))]
    Slow {
        /// All that is slow, and why.
        problems: Vec<String>,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// An invariant of the compiler does not hold; a defect of lostwax.
    #[error("internal error, please report it: {problem}")]
    Internal {
        /// The broken invariant.
        problem: String,
    },
}

/// The sizes that a number is for; nothing where none is dynamic.
fn at_sizes(sizes: &[String]) -> String {
    if sizes.is_empty() { String::new() } else { format!(" at {}", sizes.join(", ")) }
}
