//! What happens when the program is asked to end.
//!
//! What must not be left is cleaned up before the program ends as the signal wants it. Signals that are ignored when the program
//! starts stay ignored.

use crate::error::CliError;

/// Cleans up, then calls what ends the program, before anything else can be made that would be left.
pub type CleanUp = fn(&dyn Fn());

/// A Ctrl-C handler; returns whether it handled the signal. If not, the program ends.
pub type OnInterrupt = Box<dyn Fn() -> bool + Send>;

#[cfg(unix)]
mod unix {
    use super::{CleanUp, CliError, OnInterrupt};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    use std::io;
    use std::sync::{Mutex, OnceLock, PoisonError};

    static CLEAN_UP: Mutex<Option<CleanUp>> = Mutex::new(None);

    static ON_INTERRUPT: Mutex<Option<OnInterrupt>> = Mutex::new(None);

    /// What starting the thread gave: an error of the system by its kind and text.
    static STARTED: OnceLock<Result<(), (io::ErrorKind, String)>> = OnceLock::new();

    pub fn clean_up_with(clean_up: CleanUp) -> io::Result<()> {
        *CLEAN_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(clean_up);
        watch()
    }

    /// Starts to wait for signals, once.
    fn watch() -> io::Result<()> {
        let started = STARTED.get_or_init(|| start().map_err(|error| (error.kind(), error.to_string())));
        started.clone().map_err(|(kind, text)| io::Error::new(kind, format!("signals cannot be handled: {text}")))
    }

    pub fn on_interrupt(action: OnInterrupt) -> Result<(), CliError> {
        *ON_INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(action);
        watch().map_err(|error| CliError::usage(error.to_string()))
    }

    fn start() -> io::Result<()> {
        let ignored = ignored();
        let watched = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = Signals::new(watched)?;
        std::thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(obey))?;
        Ok(())
    }

    fn obey(signal: i32) {
        let action = ON_INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner);
        if signal == SIGINT && action.as_ref().is_some_and(|take| take()) {
            return;
        }
        // The signals that are watched end a program, so this does not return.
        let end = || drop(emulate_default_handler(signal));
        match *CLEAN_UP.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(clean_up) => clean_up(&end),
            None => end(),
        }
    }

    /// A bit for each ignored signal, from the lowest on; none where the system does not say.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}

#[cfg(unix)]
pub use unix::{clean_up_with, on_interrupt};

/// Where there are no signals, the system ends the program at once.
#[cfg(not(unix))]
pub fn clean_up_with(_: CleanUp) -> std::io::Result<()> {
    Ok(())
}

/// Where there are no signals, Ctrl-C ends the program.
#[cfg(not(unix))]
pub fn on_interrupt(_: OnInterrupt) -> Result<(), CliError> {
    Ok(())
}
