//! Quantized block formats: what a block of each format means, as data.
//!
//! A tensor of a block format stores a fixed number of consecutive values of a row in a fixed number of bytes. Each value has
//! an integer, its *quant*; runs of values, *groups*, share a scale and, in some formats, a minimum:
//!
//! ```text
//! value = scale(group) * quant + min(group)
//! ```
//!
//! A [`BlockFormat`] says where the bits of quants, scales and minima lie, so that one decoder, one encoder and any code that
//! packs or reads blocks work for all formats. Layouts are those of ggml's `ggml-common.h`, values those of the functions
//! `dequantize_row_*` in `ggml-quants.c`, bit for bit.

mod decode;
mod encode;
mod encode_groups;
mod formats;

pub use decode::UnpackedBlock;
pub use formats::BLOCK_FORMATS;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A quantized block format. Formats are equal when their names are.
#[derive(Clone, Copy, Debug)]
pub struct BlockFormat {
    /// The name, as ggml spells it in lower case.
    pub name: &'static str,
    /// Values per block.
    pub values: u32,
    /// Bytes per block.
    pub bytes: u32,
    /// Consecutive values that share scale and minimum; divides `values`.
    pub group: u32,
    /// The quant of a value, by its position in the block.
    pub quant: Packed,
    /// The scale of a group, by its position in the block: the product of these factors, multiplied in this order as f32.
    pub scale: &'static [Factor],
    /// What is added to each value of a group; absent where it is always 0.
    pub min: Option<Min>,
}

/// The minimum of a group.
#[derive(Clone, Copy, Debug)]
pub struct Min {
    /// The minimum up to its sign: the product of these factors, multiplied in this order as f32.
    pub factors: &'static [Factor],
    /// Whether the product is stored with the opposite sign.
    pub negated: bool,
}

/// One factor of a scale or minimum.
#[derive(Clone, Copy, Debug)]
pub enum Factor {
    /// A little-endian binary16 number at this byte, the same for all groups.
    F16(u32),
    /// An exponent at this byte, the same for all groups: half of the E8M0 number of the OCP Microscaling specification,
    /// 2^(byte - 128).
    HalfE8M0(u32),
    /// An integer of the group.
    Packed(Packed),
}

/// Integers whose bits are spread over a block.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    /// Where the bits lie. They make up an unsigned integer, the *code*.
    pub fields: &'static [Field],
    /// What a code stands for.
    pub code: Code,
}

/// What a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The code minus this number.
    Minus(i32),
    /// A two's complement number of 8 bits.
    Signed,
    /// The element of this table at the code.
    Table(&'static [i8; 16]),
}

/// A run of bits inside one byte of the block.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The byte of integer `i`.
    pub byte: Offset,
    /// The lowest bit in that byte.
    pub shift: Offset,
    /// The number of bits.
    pub width: u32,
    /// The bit of the code that the lowest bit becomes.
    pub to: u32,
}

/// A number that depends on a position `i`: `base + sum(i / per % count * step)` over all strides.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    /// The number at position 0.
    pub base: u32,
    /// What each term adds.
    pub strides: &'static [Stride],
}

/// One term of a [`Offset`]: `i / per % count * step`, as `Stride(per, count, step)`.
#[derive(Clone, Copy, Debug)]
pub struct Stride(pub u32, pub u32, pub u32);

impl BlockFormat {
    /// The number of groups of a block.
    pub fn groups(&self) -> usize {
        (self.values / self.group) as usize
    }
}

impl Offset {
    /// The number at position `i`.
    pub fn at(&self, i: usize) -> usize {
        let term = |Stride(per, count, step): &Stride| i / *per as usize % *count as usize * *step as usize;
        self.base as usize + self.strides.iter().map(term).sum::<usize>()
    }
}

impl PartialEq for BlockFormat {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for BlockFormat {}

impl Hash for BlockFormat {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialOrd for BlockFormat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BlockFormat {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}
