//! Code in executable memory.

use crate::NAME;
use crate::format::{Arch, Entry, Image, MemoryMap};
use lostwax_target_api::DeviceError;
use std::ptr::NonNull;

/// The type of every kernel; see [`crate::format`].
pub(crate) type KernelFn = unsafe extern "C" fn(buffers: *const *mut u8, symbols: *const i64, begin: i64, end: i64);

/// An image at its place in memory: text executable, the rest readable, nothing writable.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    entries: Vec<Entry>,
}

// SAFETY: the memory is never written again, and unmapped only by the owner's `drop`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps checked code.
    pub(crate) fn new(code: &[u8]) -> Result<Self, DeviceError> {
        let image = Image::parse(code).map_err(invalid)?;
        if Some(image.arch) != Arch::host() {
            return Err(invalid(format!("it is {} code", image.arch.name())));
        }
        check_page_size(image.arch)?;
        let sizes = (image.text.len() as u64, image.constants.len() as u64);
        let map = MemoryMap::new(image.arch, sizes.0, sizes.1, image.zero_bytes);
        let map = map.ok_or_else(|| invalid("a segment is too large".into()))?;
        let mut mapping = Self::writable(map.total as usize)?;
        mapping.fill(&image, map.constants as usize);
        mapping.protect(map.constants as usize)?;
        mapping.entries = image.entries;
        Ok(mapping)
    }

    fn writable(bytes: usize) -> Result<Self, DeviceError> {
        let bytes = bytes.max(1);
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping at an address that the system chooses replaces nothing.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        match NonNull::new(address.cast::<u8>()) {
            Some(base) if address != libc::MAP_FAILED => Ok(Self { base, bytes, entries: Vec::new() }),
            _ => Err(out_of_memory(bytes)),
        }
    }

    fn fill(&mut self, image: &Image<'_>, constants: usize) {
        // SAFETY: the mapping is writable, ours alone, and `self.bytes` long.
        let memory = unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.bytes) };
        memory[..image.text.len()].copy_from_slice(image.text);
        memory[constants..constants + image.constants.len()].copy_from_slice(image.constants);
    }

    /// Ends the time in which the memory is writable, then begins the time in which it is executable.
    fn protect(&mut self, text_bytes: usize) -> Result<(), DeviceError> {
        // SAFETY: both ranges lie in our mapping, and no reference into it is alive.
        let done = unsafe {
            libc::mprotect(self.base.as_ptr().cast(), self.bytes, libc::PROT_READ) == 0
                && (text_bytes == 0
                    || libc::mprotect(self.base.as_ptr().cast(), text_bytes, libc::PROT_READ | libc::PROT_EXEC) == 0)
        };
        if !done {
            let what = format!("executable memory: {}", std::io::Error::last_os_error());
            return Err(DeviceError::Unsupported { device: NAME.into(), what });
        }
        synchronize_instructions(self.base.as_ptr(), text_bytes);
        Ok(())
    }

    pub(crate) fn kernel_count(&self) -> usize {
        self.entries.len()
    }

    /// The kernel at that position, and how many buffers and symbols it takes.
    pub(crate) fn kernel(&self, position: u32) -> Option<(KernelFn, Entry)> {
        let entry = *self.entries.get(position as usize)?;
        // SAFETY: the parser checked that the entry lies in the text, which is mapped executable as long as `self` lives; that
        // the bytes there are a kernel is what the target promises.
        let kernel = unsafe { std::mem::transmute::<*mut u8, KernelFn>(self.base.as_ptr().add(entry.offset as usize)) };
        Some((kernel, entry))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and kernels run only while a program holds the mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

fn check_page_size(arch: Arch) -> Result<(), DeviceError> {
    // SAFETY: reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    match u64::try_from(page) {
        Ok(page) if page > 0 && arch.segment_alignment().is_multiple_of(page) => Ok(()),
        _ => Err(DeviceError::Unsupported { device: NAME.into(), what: format!("memory pages of {page} bytes") }),
    }
}

fn invalid(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}

fn out_of_memory(bytes: usize) -> DeviceError {
    let problem = format!("{bytes} bytes for code: {}", std::io::Error::last_os_error());
    DeviceError::LimitExceeded { resource: "memory", problem }
}

#[cfg(target_arch = "x86_64")]
fn synchronize_instructions(_: *mut u8, _: usize) {}

#[cfg(target_arch = "aarch64")]
fn synchronize_instructions(start: *mut u8, bytes: usize) {
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
    // SAFETY: the system call has no effect but to make new code visible to all threads of the process.
    unsafe { libc::syscall(libc::SYS_riscv_flush_icache, start, start.add(bytes), ALL_THREADS) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn synchronize_instructions(_: *mut u8, _: usize) {}
