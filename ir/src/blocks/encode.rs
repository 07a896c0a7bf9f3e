//! From values to bytes: blocks of one group as the functions `quantize_row_*_ref` in ggml's `ggml-quants.c` write them.

use super::{BlockFormat, Code, Factor, Field, Packed};
use half::f16;

/// What is stored for a group of values: scale, minimum and codes.
struct Fitted {
    scale: f32,
    min: f32,
    codes: Vec<u32>,
}

impl BlockFormat {
    /// The block that stands for `values`. `None` if their number is not that of a block, or for formats that cannot be
    /// written: those with a table of values.
    pub fn encode_block(&self, values: &[f32]) -> Option<Vec<u8>> {
        if values.len() != self.values as usize {
            return None;
        }
        if self.groups() > 1 {
            return self.encode_groups(values);
        }
        let Fitted { scale, min, codes } = self.fit(values)?;
        let mut block = vec![0; self.bytes as usize];
        write_f16(&mut block, self.scale, scale)?;
        self.min.map_or(Some(()), |stored| write_f16(&mut block, stored.factors, min))?;
        codes.iter().enumerate().try_for_each(|(i, code)| self.quant.write(&mut block, i, *code))?;
        Some(block)
    }

    /// The blocks that stand for `values`; see [`BlockFormat::encode_block`].
    pub fn encode(&self, values: &[f32]) -> Option<Vec<u8>> {
        let blocks = values.chunks(self.values as usize).map(|block| self.encode_block(block));
        Some(blocks.collect::<Option<Vec<_>>>()?.concat())
    }

    fn fit(&self, values: &[f32]) -> Option<Fitted> {
        match (self.groups(), self.quant.code, self.min) {
            (1, Code::Signed, None) => Some(symmetric(values)),
            (1, Code::Minus(0), Some(_)) => Some(from_min_to_max(values, self.quant.largest())),
            (1, Code::Minus(zero), None) => Some(around_zero(values, zero as f32)),
            _ => None,
        }
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The value of largest magnitude becomes 127 or -127.
fn symmetric(values: &[f32]) -> Fitted {
    let scale = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs())) / 127.0;
    let factor = inverse(scale);
    let code = |value: &f32| u32::from((value * factor).round() as i8 as u8);
    Fitted { scale, min: 0.0, codes: values.iter().map(code).collect() }
}

/// The value of largest magnitude becomes `-zero`, code 0.
fn around_zero(values: &[f32], zero: f32) -> Fitted {
    let larger = |largest: f32, value: &f32| if value.abs() > largest.abs() { *value } else { largest };
    let scale = values.iter().fold(0.0, larger) / -zero;
    let factor = inverse(scale);
    let code = |value: &f32| (value * factor + (zero + 0.5)).min(2.0 * zero - 1.0) as u32;
    Fitted { scale, min: 0.0, codes: values.iter().map(code).collect() }
}

/// The smallest value becomes code 0, the largest the largest code.
fn from_min_to_max(values: &[f32], codes: f32) -> Fitted {
    let (min, max) = values.iter().fold((f32::MAX, f32::MIN), |(min, max), value| (min.min(*value), max.max(*value)));
    let scale = (max - min) / codes;
    let factor = inverse(scale);
    let code = |value: &f32| ((value - min) * factor + 0.5).min(codes) as u32;
    Fitted { scale, min, codes: values.iter().map(code).collect() }
}

fn write_f16(block: &mut [u8], factors: &[Factor], value: f32) -> Option<()> {
    let [Factor::F16(byte)] = factors else { return None };
    block.get_mut(*byte as usize..)?.first_chunk_mut().map(|bytes| *bytes = f16::from_f32(value).to_le_bytes())
}

impl Packed {
    /// The largest code.
    pub(super) fn largest(&self) -> f32 {
        let bits: u32 = self.fields.iter().map(|field| field.width).sum();
        ((1u32 << bits) - 1) as f32
    }

    pub(super) fn write(&self, block: &mut [u8], i: usize, code: u32) -> Option<()> {
        self.fields.iter().try_for_each(|field| field.write(block, i, code))
    }
}

impl Field {
    fn write(&self, block: &mut [u8], i: usize, code: u32) -> Option<()> {
        let bits = code >> self.to & ((1 << self.width) - 1);
        block.get_mut(self.byte.at(i)).map(|byte| *byte |= (bits << self.shift.at(i)) as u8)
    }
}
