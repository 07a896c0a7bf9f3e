//! The format of the code bytes: what the target writes and the loader checks.
//!
//! All integers are little endian. In order, without gaps:
//!
//! | field | bytes | |
//! |---|---|---|
//! | magic | 8 | [`MAGIC`] |
//! | version | 4 | [`VERSION`] |
//! | architecture | 4 | [`Arch::id`] |
//! | kernel count | 4 | |
//! | reserved | 4 | 0 |
//! | text bytes | 8 | |
//! | constant bytes | 8 | |
//! | zero bytes | 8 | |
//! | kernels | 16 each | offset in the text (8), number of buffers (4), number of symbols (4) |
//! | text | | machine code |
//! | constants | | read-only data |
//!
//! In memory the text comes first, then the constants, then as many zeros as stated, each starting at a multiple of
//! [`Arch::segment_alignment`]. Code refers to the segments by distance only, so the image runs wherever it is mapped.
//!
//! A kernel is `extern "C" fn(buffers: *const *mut u8, symbols: *const i64, begin: i64, end: i64)`; it runs the work items
//! `begin..end`.

/// The name of the device family.
pub const NAME: &str = "cpu";

/// The first bytes of the format.
pub const MAGIC: [u8; 8] = *b"LWXCPU\r\n";

/// The version that this crate reads.
pub const VERSION: u32 = 1;

/// Bytes before the kernels.
pub const HEADER_BYTES: usize = 48;

/// Bytes of one kernel in the table.
pub const ENTRY_BYTES: usize = 16;

/// The maximum number of bytes that one segment may have.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Arch {
    /// All of them.
    pub const ALL: [Arch; 3] = [Arch::X86_64, Arch::Aarch64, Arch::Riscv64];

    /// The one that this program runs on.
    pub fn host() -> Option<Self> {
        Self::from_name(std::env::consts::ARCH)
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// The name, as Rust spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The number that stands for it in code bytes.
    pub fn id(self) -> u32 {
        match self {
            Self::X86_64 => 1,
            Self::Aarch64 => 2,
            Self::Riscv64 => 3,
        }
    }

    /// The calling convention of its kernels: that of C on Linux.
    pub fn abi(self) -> &'static str {
        match self {
            Self::X86_64 => "sysv64",
            Self::Aarch64 => "aapcs64",
            Self::Riscv64 => "lp64d",
        }
    }

    /// What segments are aligned to in memory: a multiple of every page size in use.
    pub fn segment_alignment(self) -> u64 {
        match self {
            Self::X86_64 | Self::Riscv64 => 4096,
            Self::Aarch64 => 65536,
        }
    }

    /// What the start of a function is aligned to.
    pub fn code_alignment(self) -> u64 {
        match self {
            Self::X86_64 => 1,
            Self::Aarch64 => 4,
            Self::Riscv64 => 2,
        }
    }
}

/// Where the segments lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    /// The first byte of the constants.
    pub constants: u64,
    /// The first byte of the zeros.
    pub zeros: u64,
    /// The number of bytes in all.
    pub total: u64,
}

impl MemoryMap {
    /// The map for segments of these sizes; `None` when one is larger than [`MAX_SEGMENT_BYTES`].
    pub fn new(arch: Arch, text_bytes: u64, constant_bytes: u64, zero_bytes: u64) -> Option<Self> {
        if [text_bytes, constant_bytes, zero_bytes].iter().any(|bytes| *bytes > MAX_SEGMENT_BYTES) {
            return None;
        }
        let align = |bytes: u64| bytes.next_multiple_of(arch.segment_alignment());
        let constants = align(text_bytes);
        let zeros = align(constants + constant_bytes);
        Some(Self { constants, zeros, total: align(zeros + zero_bytes) })
    }
}

/// One kernel of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first byte of its code, counted from the start of the text.
    pub offset: u64,
    /// The number of buffers that it takes.
    pub buffers: u32,
    /// The number of symbols that it takes.
    pub symbols: u32,
}

/// Parsed code bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The instruction set of the text.
    pub arch: Arch,
    /// The kernels.
    pub entries: Vec<Entry>,
    /// Machine code.
    pub text: &'a [u8],
    /// Read-only data.
    pub constants: &'a [u8],
    /// The number of zero bytes that follow in memory.
    pub zero_bytes: u64,
}

impl<'a> Image<'a> {
    /// The code bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes =
            Vec::with_capacity(HEADER_BYTES + self.entries.len() * ENTRY_BYTES + self.text.len() + self.constants.len());
        bytes.extend(MAGIC);
        for field in [VERSION, self.arch.id(), self.entries.len() as u32, 0] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [self.text.len() as u64, self.constants.len() as u64, self.zero_bytes] {
            bytes.extend(field.to_le_bytes());
        }
        for entry in &self.entries {
            bytes.extend(entry.offset.to_le_bytes());
            bytes.extend(entry.buffers.to_le_bytes());
            bytes.extend(entry.symbols.to_le_bytes());
        }
        bytes.extend(self.text);
        bytes.extend(self.constants);
        bytes
    }

    /// Parses code bytes and checks that all fields are consistent.
    ///
    /// # Errors
    /// A sentence that names the problem.
    pub fn parse(code: &'a [u8]) -> Result<Self, String> {
        let mut reader = Reader { rest: code };
        if reader.take(8)? != MAGIC {
            return Err("the magic bytes are missing".into());
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(format!("version {version} of the code format is not version {VERSION}"));
        }
        let id = reader.u32()?;
        let arch = Arch::ALL.into_iter().find(|arch| arch.id() == id).ok_or(format!("architecture {id} is unknown"))?;
        let kernels = reader.u32()?;
        if reader.u32()? != 0 {
            return Err("a reserved field is not 0".into());
        }
        let (text_bytes, constant_bytes, zero_bytes) = (reader.u64()?, reader.u64()?, reader.u64()?);
        MemoryMap::new(arch, text_bytes, constant_bytes, zero_bytes).ok_or("a segment is too large")?;
        let table = reader.take(u64::from(kernels) * ENTRY_BYTES as u64)?;
        let (text, constants) = (reader.take(text_bytes)?, reader.take(constant_bytes)?);
        if !reader.rest.is_empty() {
            return Err(format!("{} bytes follow the constants", reader.rest.len()));
        }
        let entries =
            table.chunks_exact(ENTRY_BYTES).map(|bytes| parse_entry(arch, bytes, text_bytes)).collect::<Result<_, _>>()?;
        Ok(Self { arch, entries, text, constants, zero_bytes })
    }
}

fn parse_entry(arch: Arch, bytes: &[u8], text_bytes: u64) -> Result<Entry, String> {
    let mut reader = Reader { rest: bytes };
    let entry = Entry { offset: reader.u64()?, buffers: reader.u32()?, symbols: reader.u32()? };
    if entry.offset >= text_bytes || !entry.offset.is_multiple_of(arch.code_alignment()) {
        return Err(format!("the kernel at {} is outside of the {text_bytes} bytes of text or misaligned", entry.offset));
    }
    Ok(entry)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let (taken, rest) = split.ok_or_else(|| format!("{count} bytes are missing at the end"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N as u64)?.try_into().map_err(|_| "a field is cut short".to_string())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let (text, constants) = ([0x90; 10], [1; 3]);
        let entry = |offset| Entry { offset, buffers: 2, symbols: 1 };
        Image { arch: Arch::X86_64, entries: vec![entry(0), entry(4)], text: &text, constants: &constants, zero_bytes: 64 }
            .write()
    }

    #[test]
    fn parse_reads_what_write_wrote() {
        let code = sample();
        assert_eq!(Image::parse(&code).unwrap().write(), code);
    }

    #[test]
    fn every_truncation_is_refused() {
        let code = sample();
        for length in 0..code.len() {
            assert!(Image::parse(&code[..length]).is_err(), "{length}");
        }
        assert!(Image::parse(&[code, vec![0]].concat()).is_err());
    }

    #[test]
    fn damaged_headers_are_refused_or_consistent() {
        let code = sample();
        for position in 0..HEADER_BYTES + 2 * ENTRY_BYTES {
            for bit in 0..8 {
                let mut damaged = code.clone();
                damaged[position] ^= 1 << bit;
                if let Ok(image) = Image::parse(&damaged) {
                    assert!(image.entries.iter().all(|entry| entry.offset < image.text.len() as u64));
                }
            }
        }
    }
}
