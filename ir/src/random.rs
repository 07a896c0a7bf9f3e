//! A small deterministic generator for tests and for seeded constants.

use crate::tensor::{Tensor, element_count};
use crate::types::{DType, TensorType};

/// A stream of pseudo-random numbers (splitmix64) that depends on nothing but its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An integer in `low..=high`; `low` if that is empty.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        let span = high.saturating_sub(low).max(0) as u64 + 1;
        low + (self.bits() % span) as i64
    }

    /// A size in `low..=high`.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.int(low as i64, high as i64) as usize
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.bits().is_multiple_of(count.max(1))
    }

    /// A number in `low..high`.
    pub fn float(&mut self, low: f64, high: f64) -> f64 {
        low + (self.bits() >> 11) as f64 / (1u64 << 53) as f64 * (high - low)
    }

    /// One of `choices`, or `fallback` if there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T], fallback: T) -> T {
        let last = choices.len().saturating_sub(1);
        choices.get(self.size(0, last)).copied().unwrap_or(fallback)
    }

    /// A tensor of small values: floats in -4..4, integers in -9..=9 or 0..=9, bools. `None` if the type has symbols, is a
    /// block format or does not fit memory.
    pub fn tensor(&mut self, ty: &TensorType) -> Option<Tensor> {
        let shape = ty.static_shape()?;
        let count = element_count(&shape)?;
        if ty.dtype.is_float() {
            let values: Vec<f64> = (0..count).map(|_| self.float(-4.0, 4.0)).collect();
            return Tensor::from_f64(ty.dtype, &shape, &values);
        }
        let low = if ty.dtype.is_signed_integer() { -9 } else { 0 };
        let high = if ty.dtype == DType::Bool { 1 } else { 9 };
        let values: Vec<i64> = (0..count).map(|_| self.int(low, high)).collect();
        Tensor::from_i64(ty.dtype, &shape, &values)
    }
}
