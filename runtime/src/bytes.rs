//! Byte buffers with the alignment that kernels rely on.

use crate::RuntimeError;
use crate::files::open_file;
use bytemuck::{Pod, Zeroable};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The alignment of tensors and weights in memory.
pub(crate) const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// Owned bytes that start at a multiple of [`ALIGNMENT`].
#[derive(Clone, Default)]
pub(crate) struct AlignedBytes {
    lines: Vec<Line>,
    bytes: usize,
}

impl AlignedBytes {
    pub(crate) fn zeroed(bytes: usize) -> Result<Self, RuntimeError> {
        let lines = bytemuck::allocation::try_zeroed_vec(bytes.div_ceil(ALIGNMENT));
        let lines = lines.map_err(|()| RuntimeError::out_of_memory("a tensor", bytes as u64))?;
        Ok(Self { lines, bytes })
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self, RuntimeError> {
        let mut copy = Self::zeroed(bytes.len())?;
        copy.as_mut().copy_from_slice(bytes);
        Ok(copy)
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        let all: &[u8] = bytemuck::cast_slice(&self.lines);
        all.get(..self.bytes).unwrap_or(all)
    }
}

impl AsMut<[u8]> for AlignedBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        let (all, bytes): (&mut [u8], usize) = (bytemuck::cast_slice_mut(&mut self.lines), self.bytes);
        all.split_at_mut(bytes).0
    }
}

/// Bytes that are written one after another and start at a multiple of 64, so that [`crate::Model::from_bytes`] need not copy them.
#[derive(Clone, Default)]
pub struct AlignedBuffer(AlignedBytes);

impl AlignedBuffer {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for this many bytes, if memory allows: then they never have to move.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut lines = Vec::new();
        // Without the room, writing reports that there is no memory.
        let _ = lines.try_reserve_exact(bytes.div_ceil(ALIGNMENT));
        Self(AlignedBytes { lines, bytes: 0 })
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl Write for AlignedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let AlignedBytes { lines, bytes: end } = &mut self.0;
        let total = *end + bytes.len();
        let missing = total.div_ceil(ALIGNMENT).saturating_sub(lines.len());
        lines.try_reserve(missing).map_err(|_| io::ErrorKind::OutOfMemory)?;
        lines.resize(lines.len() + missing, Line::zeroed());
        let all: &mut [u8] = bytemuck::cast_slice_mut(lines);
        let free = all.get_mut(*end..total).ok_or(io::ErrorKind::OutOfMemory)?;
        free.copy_from_slice(bytes);
        *end = total;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of an artifact.
pub(crate) type FileBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Shares the bytes as they are when they are aligned, and copies them otherwise.
pub(crate) fn aligned(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<FileBytes, RuntimeError> {
    let is_aligned = bytes.as_ref().as_ptr().addr().is_multiple_of(ALIGNMENT);
    if is_aligned { Ok(Arc::new(bytes)) } else { Ok(Arc::new(AlignedBytes::copy_of(bytes.as_ref())?)) }
}

pub(crate) fn read(path: &Path) -> Result<FileBytes, RuntimeError> {
    aligned(MappedFile::open(path).map_err(lostwax_format::FormatError::Io)?)
}

/// The bytes of a file, mapped into memory; read into it without the feature `mmap`. Cheap to clone.
///
/// The file must not be changed while it is mapped.
#[derive(Clone)]
pub struct MappedFile(FileBytes);

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    /// As [`open_file`].
    #[cfg(feature = "mmap")]
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open_file(path)?;
        // SAFETY: the map is read only and private. That nobody changes the file while it is mapped is the contract of the type.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Self(Arc::new(map)))
    }

    /// Reads a regular file.
    ///
    /// # Errors
    /// As [`open_file`].
    #[cfg(not(feature = "mmap"))]
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(crate::files::read_file(path, u64::MAX)?)))
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// A range of an artifact that keeps the artifact alive.
pub(crate) struct Part {
    pub(crate) bytes: FileBytes,
    pub(crate) range: Range<usize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.range.clone()).unwrap_or_default()
    }
}
