//! Memory for code: writable while it is filled, executable afterwards, never both at once.
//!
//! Each system has a module with a type [`Pages`] that implements [`CodePages`]; one is compiled.

#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
#[path = "jit.rs"]
mod system;

#[cfg(any(target_os = "linux", all(target_os = "macos", not(target_arch = "aarch64"))))]
#[path = "protected.rs"]
mod system;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
#[path = "unsupported.rs"]
mod system;

use crate::format::NAME;
use lostwax_target_api::DeviceError;

pub(crate) use system::Pages;

/// Pages that hold code as long as they live.
pub(crate) trait CodePages: Sized {
    /// Bytes of one page of this system.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] where the system is not known.
    fn page_bytes() -> Result<u64, DeviceError>;

    /// New zeroed pages of `bytes` in all, after `fill` has written to them. The first `text_bytes` are executable, the rest is
    /// readable, and nothing is writable any more. Instruction caches of all threads are up to date.
    ///
    /// # Errors
    /// [`DeviceError::LimitExceeded`] if there is not enough memory, [`DeviceError::Unsupported`] if the system refuses executable
    /// memory or is not known.
    fn load(bytes: usize, text_bytes: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, DeviceError>;

    /// The first byte.
    fn start(&self) -> *mut u8;
}

fn unsupported(what: String) -> DeviceError {
    DeviceError::Unsupported { device: NAME.into(), what }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod unix {
    use super::{DeviceError, unsupported};
    use std::io::Error;

    /// The page size of the system.
    pub(super) fn page_bytes() -> Result<u64, DeviceError> {
        // SAFETY: reads a constant of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let known = u64::try_from(page).ok().filter(|page| *page > 0);
        known.ok_or_else(|| unsupported(format!("memory pages of {page} bytes")))
    }

    /// The error for the system's last refusal of memory for code.
    pub(super) fn refused(bytes: usize) -> DeviceError {
        let error = Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOMEM) => {
                DeviceError::LimitExceeded { resource: "memory", problem: format!("{bytes} bytes for code: {error}") }
            }
            _ => unsupported(format!("executable memory: {error}")),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The protection of the page at an address, as the system reports it, such as `r-xp`.
    fn protection(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
        let found = maps.lines().find(|line| {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            (number(start)..number(end)).contains(&address)
        });
        found.unwrap().split(' ').nth(1).unwrap().to_string()
    }

    #[test]
    fn code_is_executable_and_nothing_is_writable() {
        let page = Pages::page_bytes().unwrap() as usize;
        let mut before = String::new();
        let pages = Pages::load(3 * page, page, |memory| {
            before = protection(memory.as_ptr().addr());
            memory[0] = 7;
            memory[2 * page] = 8;
        });
        let pages = pages.unwrap();
        let start = pages.start().addr();
        assert_eq!(before, "rw-p");
        assert_eq!([0, 1, 2].map(|number| protection(start + number * page)), ["r-xp", "r--p", "r--p"]);
        // SAFETY: both bytes lie in the pages, which are readable.
        assert_eq!(unsafe { [pages.start().read(), pages.start().add(2 * page).read()] }, [7, 8]);
    }

    #[test]
    fn pages_without_code_are_not_executable() {
        let pages = Pages::load(1, 0, |memory| memory[0] = 1).unwrap();
        assert_eq!(protection(pages.start().addr()), "r--p");
        assert!(Pages::load(0, 0, |memory| assert!(memory.is_empty())).is_ok());
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        assert!(matches!(Pages::load(isize::MAX as usize, 0, |_| ()), Err(DeviceError::LimitExceeded { .. })));
    }
}
