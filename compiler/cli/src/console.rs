//! Progress and notes on stderr; results that come bit by bit on stdout.

use indicatif::ProgressBar;
use std::io::Write;
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

    /// Writes a part of the result at once, unless the result is wanted as JSON. A reader that has gone away is no error.
    pub fn write(&self, text: &str) {
        if self.is_json {
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Shows what happens now.
    pub fn stage(&self, what: &str) {
        self.bar.set_message(what.to_string());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Removes the progress display, so that measurements are not disturbed.
    pub fn clear(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// Writes a line.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}
