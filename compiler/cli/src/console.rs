//! CachePosition and notes on stderr; results that come bit by bit on stdout.

use crate::error::CliError;
use crate::stdout;
use indicatif::ProgressBar;
use lostwax_ir::printable::{printable, printable_line, without_controls};
use std::cell::RefCell;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::{Duration, Instant};

/// How much is written to stderr; errors always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing else.
    Quiet,
    /// Notes, and progress where stderr is a terminal.
    #[default]
    Normal,
    /// Also a line for each stage, with the time that it took.
    Verbose,
}

/// Where verbs say what they are doing.
pub struct Console {
    bar: ProgressBar,
    is_json: bool,
    verbosity: Verbosity,
    stage: RefCell<Option<(String, Instant)>>,
}

impl Console {
    /// With `is_json` the result is one JSON value, so that nothing may be written before it.
    pub fn new(is_json: bool) -> Self {
        Self { bar: ProgressBar::new_spinner(), is_json, verbosity: Verbosity::Normal, stage: RefCell::default() }
    }

    /// The same console with another amount of text on stderr.
    pub fn with_verbosity(self, verbosity: Verbosity) -> Self {
        Self { verbosity, ..self }
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

    /// Whether progress is shown, so that it is worth counting.
    pub fn shows_progress(&self) -> bool {
        self.verbosity >= Verbosity::Normal && stderr().is_terminal()
    }

    /// Shows what happens now. A stage ends when the next one begins.
    pub fn stage(&self, what: &str) {
        let is_new = self.stage.borrow().as_ref().is_none_or(|(stage, _)| stage != what);
        if is_new {
            self.end_stage();
            *self.stage.borrow_mut() = Some((what.to_string(), Instant::now()));
        }
        self.show(what);
    }

    /// Shows how far a stage has come.
    pub fn progress(&self, what: &str, done: usize, total: usize) {
        self.stage(what);
        self.show(&format!("{what}: {done} of {total}"));
    }

    fn show(&self, message: &str) {
        if self.shows_progress() {
            self.bar.set_message(printable_line(message).into_owned());
            self.bar.enable_steady_tick(Duration::from_millis(100));
        }
    }

    /// Writes the line of the stage that ends.
    fn end_stage(&self) {
        let ended = self.stage.borrow_mut().take();
        if let Some((stage, start)) = ended.filter(|_| self.verbosity >= Verbosity::Verbose) {
            self.line(&format!("{stage}: {:.2} s", start.elapsed().as_secs_f64()));
        }
    }

    /// Ends the stage and removes the progress display, so that measurements are not disturbed.
    pub fn clear(&self) {
        self.end_stage();
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// Writes a line to stderr, unless the program is to be quiet.
    pub fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.line(text);
        }
    }

    /// Writes a line to stderr. If that fails there is nowhere to say so.
    pub fn line(&self, text: &str) {
        let _ = self.bar.suspend(|| writeln!(stderr().lock(), "{}", printable(text)));
    }
}
