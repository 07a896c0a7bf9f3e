//! Caches of layers that see a window of tokens: they hold the last tokens only.

use crate::llm::decoder::largest;
use crate::{Model, RuntimeError};
use lostwax_format::FormatError;

/// The symbol that is the number of tokens in the caches of layers with windows.
pub const RECENT: &str = "recent";

/// The entry point that leaves the last tokens in these caches.
pub(crate) const SLIDE: &str = "slide";

/// What the caches of layers with windows hold: the tokens from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    first: usize,
    /// The tokens that sliding leaves.
    kept: usize,
    /// The tokens that there is room for.
    room: usize,
}

impl Window {
    /// Empty caches; `None` if those of the model hold all tokens.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if the model has no entry point to slide or no room.
    pub(crate) fn of(model: &Model) -> Result<Option<Self>, RuntimeError> {
        let Some(kept) = model.artifact().language_model().and_then(|language| language.window) else { return Ok(None) };
        let (kept, room) = (kept as usize, largest(model, RECENT).unwrap_or(0));
        let has_slide = model.entry_points().iter().any(|entry| entry.name == SLIDE);
        if has_slide && kept < room { Ok(Some(Self { first: 0, kept, room })) } else { Err(no_room(kept).into()) }
    }

    /// The number of tokens in the caches when `position` tokens were appended.
    pub(crate) fn recent(&self, position: usize) -> usize {
        position.saturating_sub(self.first)
    }

    /// Whether there is room for so many tokens more.
    pub(crate) fn has_room(&self, position: usize, tokens: usize) -> bool {
        self.recent(position).saturating_add(tokens) <= self.room
    }

    /// The most tokens that there is room for after sliding.
    pub(crate) fn longest_run(&self) -> usize {
        self.room - self.kept
    }

    /// Only the last tokens are left.
    pub(crate) fn slide(&mut self, position: usize) {
        self.first = self.first.max(position.saturating_sub(self.kept));
    }

    /// The most of the first `position` tokens after which a text can go on: the window before must still be there.
    pub(crate) fn reusable(&self, position: usize) -> usize {
        if self.first == 0 || position >= self.first.saturating_add(self.kept) { position } else { 0 }
    }

    /// All but the first tokens are forgotten.
    pub(crate) fn truncate(&mut self, position: usize) {
        self.first = self.first.min(position);
    }
}

fn no_room(kept: usize) -> FormatError {
    let problem = format!("windows of {kept} tokens need the entry point `{SLIDE}` and the symbol `{RECENT}`, which is larger");
    FormatError::Invalid { section: format!("entry point `{SLIDE}`"), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tokens_stay_until_all_are_forgotten() {
        let mut window = Window { first: 0, kept: 4, room: 10 };
        assert!(window.has_room(8, 2) && !window.has_room(8, 3));
        assert_eq!((window.recent(8), window.reusable(3), window.longest_run()), (8, 3, 6));
        window.slide(8);
        assert_eq!((window.recent(8), window.recent(10)), (4, 6));
        assert_eq!((window.reusable(9), window.reusable(8), window.reusable(7)), (9, 8, 0));
        window.truncate(0);
        assert_eq!((window.recent(0), window.reusable(7)), (0, 7));
    }
}
