//! Systems on which no code is loaded.

use super::{CodePages, DeviceError, unsupported};

/// There are none.
pub(crate) enum Pages {}

impl CodePages for Pages {
    fn page_bytes() -> Result<u64, DeviceError> {
        Err(unknown_system())
    }

    fn load(_: usize, _: usize, _: impl FnOnce(&mut [u8])) -> Result<Self, DeviceError> {
        Err(unknown_system())
    }

    fn start(&self) -> *mut u8 {
        match *self {}
    }
}

fn unknown_system() -> DeviceError {
    unsupported(format!("loading code on {}; it does so on linux and macos", std::env::consts::OS))
}
