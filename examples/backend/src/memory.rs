//! Memory that vectors may be loaded from.

use lostwax_target_api::DeviceError;

/// What memory is aligned to: a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed bytes.
pub(crate) struct Memory {
    lines: Vec<Line>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Result<Self, DeviceError> {
        let problem = || format!("{bytes} bytes of working memory cannot be allocated");
        let missing = || DeviceError::LimitExceeded { resource: "memory", problem: problem() };
        let bytes = usize::try_from(bytes).map_err(|_| missing())?;
        let (mut lines, count) = (Vec::new(), bytes.div_ceil(64));
        lines.try_reserve_exact(count).map_err(|_| missing())?;
        lines.resize(count, Line([0; 64]));
        Ok(Self { lines, bytes })
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: there are lines for that number of bytes, which are initialized.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.bytes) }
    }
}

impl AsMut<[u8]> for Memory {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.bytes) }
    }
}
