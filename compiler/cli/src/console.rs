//! Progress and notes on stderr; results that come bit by bit on stdout.

use crate::error::CliError;
use crate::printable::{printable, printable_line, without_controls};
use crate::stdout;
use indicatif::ProgressBar;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;

/// Where verbs tell what they are doing. Nothing is shown unless stderr is a terminal; notes always are.
pub struct Console {
    bar: ProgressBar,
    is_json: bool,
}

impl Console {
    /// With `is_json` the result is one JSON value, so that nothing may be written before it.
    pub fn new(is_json: bool) -> Self {
        Self { bar: ProgressBar::new_spinner(), is_json }
    }

    /// Whether the result is wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Writes a part of the result, which a model wrote, at once, unless the result is wanted as JSON. A terminal gets no control
    /// characters.
    pub fn write(&self, text: &str) -> Result<(), CliError> {
        match () {
            () if self.is_json => Ok(()),
            () if stdout().is_terminal() => stdout::write(&without_controls(text)),
            () => stdout::write(text),
        }
    }

    /// Shows what happens now.
    pub fn stage(&self, what: &str) {
        self.bar.set_message(printable_line(what).into_owned());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Removes the progress display, so that measurements are not disturbed.
    pub fn clear(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// Writes a line to stderr. If that fails there is nowhere to say so.
    pub fn note(&self, text: &str) {
        let _ = self.bar.suspend(|| writeln!(stderr().lock(), "{}", printable(text)));
    }
}
