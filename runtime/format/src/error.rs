use thiserror::Error;

/// Why an artifact cannot be read or written.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The bytes break a rule of the format.
    #[error("invalid artifact, {section}: {problem}")]
    Invalid {
        /// The part of the file, or of what was to be written.
        section: String,
        /// The broken rule.
        problem: String,
    },
    /// The file may be valid, but this version cannot read it.
    #[error("the artifact, written by {producer}, needs {needs}; this is lostwax {ours}, which reads {reads}. {help}")]
    Incompatible {
        /// What the file needs that is not here.
        needs: String,
        /// The program that wrote the file.
        producer: String,
        /// The version of this library.
        ours: &'static str,
        /// What this library reads.
        reads: String,
        /// What to do.
        help: String,
    },
    /// A part of the file is larger than a reader accepts.
    #[error("{what} takes {actual} bytes, more than the limit of {limit}")]
    LimitExceeded {
        /// The part of the file.
        what: String,
        /// Its size.
        actual: u64,
        /// The largest size.
        limit: u64,
    },
    /// Reading or writing failed.
    #[error("input or output failed: {0}")]
    Io(#[from] std::io::Error),
}

impl FormatError {
    pub(crate) fn invalid(section: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { section: section.into(), problem: problem.into() }
    }
}

pub(crate) fn check_limit(what: &str, actual: usize, limit: usize) -> Result<(), FormatError> {
    let exceeded = || FormatError::LimitExceeded { what: what.into(), actual: actual as u64, limit: limit as u64 };
    if actual <= limit { Ok(()) } else { Err(exceeded()) }
}
