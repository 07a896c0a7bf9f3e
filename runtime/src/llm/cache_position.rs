//! How many tokens caches hold: those of sliding-window layers hold the last ones only.

use crate::llm::decoder::largest;
use crate::{Model, RuntimeError};
use lostwax_format::FormatError;

/// The symbol that is the number of tokens in the caches of layers with windows.
pub const RECENT: &str = "recent";

/// The entry point that leaves the last tokens in these caches.
pub(crate) const SLIDE: &str = "slide";

/// How many tokens the caches of one text hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePosition {
    position: usize,
    window: Option<Window>,
}

/// What the caches of layers with windows hold: the tokens from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    first: usize,
    /// The tokens that sliding leaves.
    kept: usize,
    /// The tokens that there is room for.
    room: usize,
}

impl CachePosition {
    /// Empty caches.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if the model has windows, but no entry point to slide or no room.
    pub(crate) fn new(model: &Model) -> Result<Self, RuntimeError> {
        let kept = model.artifact().language_model().and_then(|language| language.window);
        let window = kept.map(|kept| {
            let (kept, room) = (kept as usize, largest(model, RECENT).unwrap_or(0));
            let has_slide = model.entry_points().iter().any(|entry| entry.name == SLIDE);
            if has_slide && kept < room { Ok(Window { first: 0, kept, room }) } else { Err(no_room(kept)) }
        });
        Ok(Self { position: 0, window: window.transpose()? })
    }

    /// The number of tokens that were appended.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The number of tokens in the caches of layers with windows; of all if these hold all.
    pub fn recent(&self) -> usize {
        self.window.map_or(self.position, |window| self.position.saturating_sub(window.first))
    }

    /// Whether layers with windows hold the last tokens only.
    pub(crate) fn has_window(&self) -> bool {
        self.window.is_some()
    }

    /// Whether caches of layers with windows have room for so many tokens more.
    pub(crate) fn has_room(&self, tokens: usize) -> bool {
        self.window.is_none_or(|window| self.recent().saturating_add(tokens) <= window.room)
    }

    /// The maximum number of tokens that caches of layers with windows have room for after sliding.
    pub(crate) fn longest_run(&self) -> usize {
        self.window.map_or(usize::MAX, |window| window.room - window.kept)
    }

    /// Only the last tokens are left in the caches of layers with windows.
    pub(crate) fn slide(&mut self) {
        if let Some(window) = &mut self.window {
            window.first = window.first.max(self.position.saturating_sub(window.kept));
        }
    }

    /// Tokens were appended.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.position = self.position.saturating_add(tokens);
    }

    /// The most of the first `position` tokens after which a text can go on: the window before must still be there.
    pub(crate) fn rewindable(&self, position: usize) -> usize {
        let has_all = |window: Window| window.first == 0 || position >= window.first.saturating_add(window.kept);
        if self.window.is_none_or(has_all) { position } else { 0 }
    }

    /// All but the first tokens are forgotten.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there are less, or the window before is not there any more.
    pub(crate) fn truncate(&mut self, position: usize) -> Result<(), RuntimeError> {
        let held = self.position;
        if position > held {
            return Err(RuntimeError::input("decoder", format!("there are {held} tokens, so {position} cannot be kept")));
        }
        if position < held && self.rewindable(position) < position {
            let problem = format!("sliding-window layers hold the last of {held} tokens only, not those before {position}");
            return Err(RuntimeError::input("decoder", problem));
        }
        self.window.iter_mut().for_each(|window| window.first = window.first.min(position));
        self.position = position;
        Ok(())
    }

    /// The caches hold what they held after `position` tokens, of which layers with windows had the last `recent`.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if that cannot be.
    pub(crate) fn restore(&mut self, position: usize, recent: usize) -> Result<(), RuntimeError> {
        let first = position.checked_sub(recent);
        let fits = |first: usize| {
            self.window.map_or(first == 0, |window| recent <= window.room && (first == 0 || recent >= window.kept))
        };
        let first = first.filter(|first| fits(*first));
        let impossible = || {
            RuntimeError::input(
                "saved state",
                format!("it has the last {recent} of {position} tokens, which this model cannot hold"),
            )
        };
        let first = first.ok_or_else(impossible)?;
        self.window.iter_mut().for_each(|window| window.first = first);
        self.position = position;
        Ok(())
    }
}

fn no_room(kept: usize) -> FormatError {
    let problem = format!("windows of {kept} tokens need the symbol `{RECENT}` with a larger range");
    FormatError::Invalid { section: format!("entry point `{SLIDE}`"), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(position: usize) -> CachePosition {
        CachePosition { position, window: Some(Window { first: 0, kept: 4, room: 10 }) }
    }

    #[test]
    fn the_last_tokens_stay_until_all_are_forgotten() {
        let mut progress = progress(8);
        assert!(progress.has_room(2) && !progress.has_room(3));
        assert_eq!((progress.recent(), progress.rewindable(3), progress.longest_run()), (8, 3, 6));
        progress.slide();
        assert_eq!(progress.recent(), 4);
        progress.advance(2);
        assert_eq!(progress.recent(), 6);
        assert_eq!((progress.rewindable(9), progress.rewindable(8), progress.rewindable(7)), (9, 8, 0));
        assert!(progress.truncate(7).is_err() && progress.truncate(11).is_err());
        progress.truncate(0).unwrap();
        assert_eq!((progress.recent(), progress.rewindable(7)), (0, 7));
    }

    #[test]
    fn what_cannot_have_been_saved_is_not_restored() {
        let mut progress = progress(0);
        for (position, recent, fits) in
            [(8, 8, true), (11, 10, true), (11, 11, false), (20, 4, true), (20, 3, false), (3, 4, false)]
        {
            assert_eq!(progress.restore(position, recent).is_ok(), fits, "{recent} of {position}");
        }
        assert_eq!((progress.position(), progress.recent()), (20, 4));
        let mut all = CachePosition { position: 0, window: None };
        assert!(all.restore(8, 8).is_ok() && all.restore(8, 7).is_err());
    }
}
