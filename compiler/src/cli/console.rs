//! Progress and notes on stderr.

use indicatif::ProgressBar;
use std::time::Duration;

/// Where verbs tell what they are doing. Nothing is shown unless stderr is a terminal; notes always are.
pub struct Console {
    bar: ProgressBar,
}

impl Console {
    pub fn new() -> Self {
        Self { bar: ProgressBar::new_spinner() }
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
