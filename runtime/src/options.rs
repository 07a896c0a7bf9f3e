use crate::Bindings;

/// Settings of a session.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The number of threads; 0 lets the device decide.
    pub threads: usize,
    /// The limit for working memory, states and outputs together, in bytes. A run that needs more is refused before anything
    /// is allocated. `None` for no limit.
    pub max_memory: Option<u64>,
    /// The initial entry point; the first in the file if `None`.
    pub entry_point: Option<String>,
    /// Values of symbols that no input determines, such as the context length; [`crate::Session::bind`] changes them.
    pub bindings: Bindings,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`Options::threads`].
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Sets [`Options::max_memory`].
    pub fn with_max_memory(self, bytes: u64) -> Self {
        Self { max_memory: Some(bytes), ..self }
    }

    /// Sets [`Options::entry_point`].
    pub fn with_entry_point(self, name: impl Into<String>) -> Self {
        Self { entry_point: Some(name.into()), ..self }
    }

    /// Adds a value to [`Options::bindings`].
    pub fn with_binding(mut self, symbol: impl Into<String>, value: i64) -> Self {
        self.bindings.insert(symbol.into(), value);
        self
    }
}
