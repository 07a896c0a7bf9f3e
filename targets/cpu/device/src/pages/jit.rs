//! Pages that each thread sees either as writable or as executable: macOS on Apple silicon, which runs no other code that was
//! written at run time. Programs with the hardened runtime need the entitlement `com.apple.security.cs.allow-jit`.

use super::{CodePages, DeviceError, unix};
use std::ptr::NonNull;

unsafe extern "C" {
    /// Invalidates the instruction caches of all threads for a range of memory.
    fn sys_icache_invalidate(start: *mut libc::c_void, bytes: libc::size_t);
}

/// A mapping for code that is written at run time. All of it is executable, as the system does not protect parts of such a mapping
/// by themselves.
pub(crate) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl CodePages for Pages {
    fn page_bytes() -> Result<u64, DeviceError> {
        unix::page_bytes()
    }

    fn load(bytes: usize, text_bytes: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, DeviceError> {
        let pages = Self::new(bytes.max(1))?;
        {
            let _writing = Writing::begin();
            // SAFETY: the mapping is ours alone and `bytes` long, and this thread may write to it as long as `_writing` lives.
            fill(unsafe { std::slice::from_raw_parts_mut(pages.start.as_ptr(), bytes) });
        }
        // SAFETY: the range lies in our mapping; no memory is changed.
        unsafe { sys_icache_invalidate(pages.start.as_ptr().cast(), text_bytes) };
        Ok(pages)
    }

    fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Pages {
    fn new(bytes: usize) -> Result<Self, DeviceError> {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_JIT;
        // SAFETY: a new anonymous mapping at an address that the system chooses replaces nothing. Each thread can either write to it
        // or execute it.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        match NonNull::new(address.cast::<u8>()) {
            Some(start) if address != libc::MAP_FAILED => Ok(Self { start, bytes }),
            _ => Err(unix::refused(bytes)),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and nobody runs code in it once the owner lets it go.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// While this value lives, the thread may write to such mappings but not execute them.
struct Writing;

impl Writing {
    fn begin() -> Self {
        // SAFETY: this thread executes no code of such a mapping until the end.
        unsafe { libc::pthread_jit_write_protect_np(0) };
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // SAFETY: this thread does not write to such a mapping from now on.
        unsafe { libc::pthread_jit_write_protect_np(1) };
    }
}
