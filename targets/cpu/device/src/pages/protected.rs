//! Pages whose protection is changed when they are filled: Linux, and macOS on Intel processors.

use super::{CodePages, DeviceError, unix};
use std::ptr::NonNull;

/// An anonymous mapping.
pub(crate) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl CodePages for Pages {
    fn page_bytes() -> Result<u64, DeviceError> {
        unix::page_bytes()
    }

    fn load(bytes: usize, text_bytes: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, DeviceError> {
        let mut pages = Self::writable(bytes.max(1))?;
        // SAFETY: the mapping is writable, ours alone, and `bytes` long.
        fill(unsafe { std::slice::from_raw_parts_mut(pages.start.as_ptr(), bytes) });
        pages.protect(text_bytes)?;
        synchronize_instructions(pages.start.as_ptr(), text_bytes);
        Ok(pages)
    }

    fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Pages {
    fn writable(bytes: usize) -> Result<Self, DeviceError> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping at an address that the system chooses replaces nothing.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        match NonNull::new(address.cast::<u8>()) {
            Some(start) if address != libc::MAP_FAILED => Ok(Self { start, bytes }),
            _ => Err(unix::refused(bytes)),
        }
    }

    /// Makes the memory read-only, then its first bytes executable.
    fn protect(&mut self, text_bytes: usize) -> Result<(), DeviceError> {
        self.set_protection(self.bytes, libc::PROT_READ)?;
        if text_bytes == 0 { Ok(()) } else { self.set_protection(text_bytes, libc::PROT_READ | libc::PROT_EXEC) }
    }

    fn set_protection(&mut self, bytes: usize, protection: libc::c_int) -> Result<(), DeviceError> {
        // SAFETY: the range lies in our mapping, and no reference into it is alive.
        let done = unsafe { libc::mprotect(self.start.as_ptr().cast(), bytes, protection) } == 0;
        if done { Ok(()) } else { Err(unix::refused(bytes)) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and nobody runs code in it once the owner lets it go.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(target_arch = "aarch64")]
fn synchronize_instructions(start: *mut u8, bytes: usize) {
    /// The shortest cache line that the architecture allows.
    const LINE: usize = 16;
    // SAFETY: cache maintenance by address within our readable mapping, then barriers; no memory is changed.
    unsafe {
        use std::arch::asm;
        for offset in (0..bytes).step_by(LINE) {
            asm!("dc cvau, {0}", in(reg) start.add(offset));
        }
        asm!("dsb ish");
        for offset in (0..bytes).step_by(LINE) {
            asm!("ic ivau, {0}", in(reg) start.add(offset));
        }
        asm!("dsb ish", "isb");
    }
}

#[cfg(target_arch = "riscv64")]
fn synchronize_instructions(start: *mut u8, bytes: usize) {
    const ALL_THREADS: libc::c_ulong = 0;
    // SAFETY: the system call only makes new code visible to all threads of the process.
    unsafe { libc::syscall(libc::SYS_riscv_flush_icache, start, start.add(bytes), ALL_THREADS) };
}

/// Instruction caches of x86 see what was written; code for other architectures is refused before it is loaded.
#[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
fn synchronize_instructions(_: *mut u8, _: usize) {}
