//! Working memory, aligned for vector access.

use lostwax_target_api::DeviceError;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

const ALIGNMENT: usize = 64;

/// The largest alignment for which the system's allocator returns zeroed memory without touching it.
const NATURAL: usize = 16;

/// The smallest page size of any system.
#[cfg(target_os = "linux")]
const PAGE: usize = 4096;

/// The smallest allocation for which huge pages are requested. Such allocations are often adjacent, so that huge pages span them.
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 20;

/// Zeroed bytes, aligned to a cache line. Untouched pages take no memory.
pub(crate) struct Memory {
    allocated: NonNull<u8>,
    /// The offset of the first aligned byte.
    offset: usize,
    bytes: usize,
}

// SAFETY: the memory is owned; access goes through the owner.
unsafe impl Send for Memory {}

// SAFETY: shared references only read.
unsafe impl Sync for Memory {}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Result<Self, DeviceError> {
        let layout = layout(bytes).ok_or_else(|| out_of_memory(bytes))?;
        // SAFETY: the layout has at least one byte.
        let allocated = unsafe { alloc_zeroed(layout) };
        let allocated = NonNull::new(allocated).ok_or_else(|| out_of_memory(bytes))?;
        let offset = allocated.as_ptr().addr().wrapping_neg() % ALIGNMENT;
        let memory = Self { allocated, offset, bytes: bytes as usize };
        #[cfg(target_os = "linux")]
        memory.use_huge_pages();
        Ok(memory)
    }

    /// Requests huge pages for large memory, because kernels access it in long strides. Systems without huge pages refuse.
    #[cfg(target_os = "linux")]
    fn use_huge_pages(&self) {
        let start = self.start().addr().next_multiple_of(PAGE);
        let end = (self.start().addr() + self.bytes) / PAGE * PAGE;
        if start < end && end - start >= LARGE {
            let first = self.start().with_addr(start);
            // SAFETY: the pages lie wholly in memory that is ours; the advice does not change what they hold.
            unsafe { libc::madvise(first.cast(), end - start, libc::MADV_HUGEPAGE) };
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes as u64
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.allocated.as_ptr().wrapping_add(self.offset)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the range is allocated, initialized and borrowed as long as `self` is.
        unsafe { std::slice::from_raw_parts(self.start(), self.bytes) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range is allocated, initialized and borrowed as long as `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.bytes) }
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl AsMut<[u8]> for Memory {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes_mut()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.bytes as u64) {
            // SAFETY: this is the layout that the memory was allocated with.
            unsafe { dealloc(self.allocated.as_ptr(), layout) };
        }
    }
}

/// Room for the bytes after alignment to a cache line.
fn layout(bytes: u64) -> Option<Layout> {
    Layout::from_size_align(usize::try_from(bytes).ok()?.checked_add(ALIGNMENT)?, NATURAL).ok()
}

fn out_of_memory(bytes: u64) -> DeviceError {
    DeviceError::LimitExceeded { resource: "memory", problem: format!("{bytes} bytes of working memory cannot be allocated") }
}
