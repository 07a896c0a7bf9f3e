//! What a verb gives back.

use serde_json::Value;

/// The result of a verb, for people and for programs.
pub struct Report {
    pub text: String,
    pub json: Value,
    pub exit_code: u8,
    /// Whether stdout carries something else, so that the text goes to stderr.
    pub text_to_stderr: bool,
}

impl Report {
    /// A result without complaint.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, exit_code: 0, text_to_stderr: false }
    }

    /// The same result with another exit code.
    pub fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// The same result where stdout carries something else.
    pub fn with_text_to_stderr(self, text_to_stderr: bool) -> Self {
        Self { text_to_stderr, ..self }
    }
}
