//! From bytes to values.

use super::{BlockFormat, Code, Factor, Field, Packed};
use half::f16;

/// What a block holds. Value `i` is `scales[i / group] * quants[i] + mins[i / group]` in f32, without the sum where there are
/// no minima.
#[derive(Clone, Debug, PartialEq)]
pub struct UnpackedBlock {
    /// The integer of each value.
    pub quants: Vec<i32>,
    /// The scale of each group.
    pub scales: Vec<f32>,
    /// The minimum of each group; empty for formats without.
    pub mins: Vec<f32>,
}

impl BlockFormat {
    /// The values of one block; `None` if it does not have the format's number of bytes.
    pub fn decode_block(&self, block: &[u8]) -> Option<Vec<f32>> {
        let unpacked = self.unpack_block(block)?;
        let values = unpacked.quants.chunks(self.group as usize).zip(&unpacked.scales).enumerate();
        let decode = |(group, (quants, scale)): (usize, (&[i32], &f32))| {
            let (scale, min) = (*scale, unpacked.mins.get(group).copied());
            quants.iter().map(move |quant| affine(scale, *quant, min)).collect::<Vec<f32>>()
        };
        Some(values.flat_map(decode).collect())
    }

    /// The values of consecutive blocks; `None` if the bytes are not a whole number of them.
    pub fn decode(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let blocks = bytes.chunks(self.bytes as usize).map(|block| self.decode_block(block));
        Some(blocks.collect::<Option<Vec<_>>>()?.concat())
    }

    /// Value `i` of consecutive blocks; `None` outside of them.
    pub fn decode_value(&self, bytes: &[u8], i: usize) -> Option<f32> {
        let (size, within) = (self.bytes as usize, i % self.values as usize);
        let block = bytes.get(i / self.values as usize * size..)?.get(..size)?;
        let group = within / self.group as usize;
        Some(affine(product(self.scale, block, group)?, self.quant.read(block, within)?, self.min_of(block, group)?))
    }

    /// The integers, scales and minima of one block; `None` if it does not have the format's number of bytes.
    pub fn unpack_block(&self, block: &[u8]) -> Option<UnpackedBlock> {
        if block.len() != self.bytes as usize {
            return None;
        }
        let mins: Option<Vec<Option<f32>>> = (0..self.groups()).map(|group| self.min_of(block, group)).collect();
        Some(UnpackedBlock {
            quants: (0..self.values as usize).map(|i| self.quant.read(block, i)).collect::<Option<_>>()?,
            scales: (0..self.groups()).map(|group| product(self.scale, block, group)).collect::<Option<_>>()?,
            mins: mins?.into_iter().flatten().collect(),
        })
    }

    /// The minimum of a group, if the format has minima.
    pub(super) fn min_of(&self, block: &[u8], group: usize) -> Option<Option<f32>> {
        let Some(min) = self.min else { return Some(None) };
        let value = product(min.factors, block, group)?;
        Some(Some(if min.negated { -value } else { value }))
    }
}

fn affine(scale: f32, quant: i32, min: Option<f32>) -> f32 {
    let scaled = scale * quant as f32;
    min.map_or(scaled, |min| scaled + min)
}

pub(super) fn product(factors: &[Factor], block: &[u8], group: usize) -> Option<f32> {
    let mut values = factors.iter().map(|factor| factor.read(block, group));
    let first = values.next()??;
    values.try_fold(first, |product, factor| Some(product * factor?))
}

impl Factor {
    /// The factor of a group; `None` if the block is too short.
    pub fn read(&self, block: &[u8], group: usize) -> Option<f32> {
        match self {
            Factor::F16(byte) => Some(f16::from_le_bytes(*block.get(*byte as usize..)?.first_chunk()?).to_f32()),
            Factor::HalfE8M0(byte) => block.get(*byte as usize).map(|exponent| half_e8m0(*exponent)),
            Factor::Packed(packed) => packed.read(block, group).map(|value| value as f32),
        }
    }
}

/// 2^(exponent - 128); the two smallest are subnormal.
fn half_e8m0(exponent: u8) -> f32 {
    let exponent = u32::from(exponent);
    f32::from_bits(if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 })
}

impl Packed {
    /// The code of integer `i`; `None` if the block is too short.
    pub fn code(&self, block: &[u8], i: usize) -> Option<u32> {
        self.fields.iter().try_fold(0, |code, field| Some(code | field.read(block, i)?))
    }

    /// Integer `i`; `None` if the block is too short.
    pub fn read(&self, block: &[u8], i: usize) -> Option<i32> {
        let code = self.code(block, i)?;
        match self.code {
            Code::Minus(zero) => Some(code as i32 - zero),
            Code::Signed => Some(i32::from(code as u8 as i8)),
            Code::Table(table) => table.get(code as usize).map(|value| i32::from(*value)),
        }
    }
}

impl Field {
    fn read(&self, block: &[u8], i: usize) -> Option<u32> {
        let byte = u32::from(*block.get(self.byte.at(i))?);
        Some((byte >> self.shift.at(i) & ((1 << self.width) - 1)) << self.to)
    }
}
