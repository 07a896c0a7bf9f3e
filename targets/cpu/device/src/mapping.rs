//! Code in executable memory.

use crate::format::{Arch, Entry, Image, MemoryMap, NAME};
use crate::pages::{CodePages, Pages};
use lostwax_target_api::DeviceError;

/// The type of every kernel; see [`crate::format`].
pub(crate) type KernelFn = unsafe extern "C" fn(buffers: *const *mut u8, symbols: *const i64, begin: i64, end: i64);

/// An image mapped into memory.
pub(crate) struct Mapping {
    pages: Pages,
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
        let (text, constants) = (image.text, image.constants);
        let map = MemoryMap::new(image.arch, text.len() as u64, constants.len() as u64, image.zero_bytes);
        let map = map.ok_or_else(|| invalid("a segment is too large".into()))?;
        let first = map.constants as usize;
        let pages = Pages::load(map.total as usize, first, |memory| {
            memory[..text.len()].copy_from_slice(text);
            memory[first..first + constants.len()].copy_from_slice(constants);
        })?;
        Ok(Self { pages, entries: image.entries })
    }

    pub(crate) fn kernel_count(&self) -> usize {
        self.entries.len()
    }

    /// The kernel at that position, and how many buffers and symbols it takes.
    pub(crate) fn kernel(&self, position: u32) -> Option<(KernelFn, Entry)> {
        let entry = *self.entries.get(position as usize)?;
        // SAFETY: the parser checked that the entry lies in the text, which is mapped executable as long as `self` lives; the
        // target guarantees that the bytes there are a kernel.
        let kernel = unsafe { std::mem::transmute::<*mut u8, KernelFn>(self.pages.start().add(entry.offset as usize)) };
        Some((kernel, entry))
    }
}

fn check_page_size(arch: Arch) -> Result<(), DeviceError> {
    let page = Pages::page_bytes()?;
    match arch.segment_alignment().is_multiple_of(page) {
        true => Ok(()),
        false => Err(DeviceError::Unsupported { device: NAME.into(), what: format!("memory pages of {page} bytes") }),
    }
}

fn invalid(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}
