//! What a verb gives back.

use serde_json::Value;

/// The result of a verb, for people and for programs.
pub struct Report {
    pub text: String,
    pub json: Value,
    pub exit_code: u8,
}

impl Report {
    /// A result without complaint.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, exit_code: 0 }
    }

    /// The same result with another exit code.
    pub fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }
}
