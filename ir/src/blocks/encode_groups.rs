//! Blocks of several groups: the scale of a group, and its minimum, is an integer times a factor of the whole block. Codes are those of
//! least squares; ggml's own functions weigh errors in ways of their own, so that their bytes may differ.

use super::decode::product;
use super::{BlockFormat, Code, Factor, Packed};
use half::f16;

/// How often codes and line are fitted to each other.
const ROUNDS: usize = 6;

/// Scales that are tried around the one at which the largest value has the largest code, in tenths of a code.
const TENTHS: i32 = 9;

/// `value = scale * quant + min`.
#[derive(Clone, Copy)]
struct Line {
    scale: f64,
    min: f64,
}

/// The quants that codes stand for.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl BlockFormat {
    /// As [`BlockFormat::encode_block`], for formats whose quants are codes minus a number.
    pub(super) fn encode_groups(&self, values: &[f32]) -> Option<Vec<u8>> {
        let Code::Minus(zero) = self.quant.code else { return None };
        let range = Range { low: f64::from(-zero), high: f64::from(self.quant.largest()) - f64::from(zero) };
        let groups = || values.chunks(self.group as usize);
        let lines: Vec<Line> =
            groups().map(|group| if self.min.is_some() { range.line(group) } else { range.ray(group) }).collect();
        let mut block = vec![0; self.bytes as usize];
        let scales: Vec<f64> = lines.iter().map(|line| line.scale).collect();
        write_factors(&mut block, self.scale, &scales)?;
        if let Some(min) = self.min {
            let sign = if min.negated { -1.0 } else { 1.0 };
            let mins: Vec<f64> = lines.iter().map(|line| sign * line.min).collect();
            write_factors(&mut block, min.factors, &mins)?;
        }
        for (number, group) in groups().enumerate() {
            let (scale, min) = (product(self.scale, &block, number)?, self.min_of(&block, number)?.unwrap_or(0.0));
            let line = Line { scale: f64::from(scale), min: f64::from(min) };
            for (i, value) in group.iter().enumerate() {
                let code = (range.quant(line, f64::from(*value)) - range.low) as u32;
                self.quant.write(&mut block, number * self.group as usize + i, code)?;
            }
        }
        Some(block)
    }
}

impl Range {
    /// The quant at which a line is nearest to a value.
    fn quant(self, line: Line, value: f64) -> f64 {
        if line.scale == 0.0 { 0.0 } else { ((value - line.min) / line.scale).round().clamp(self.low, self.high) }
    }

    /// A line that is nearly the best, whose minimum is not positive.
    fn line(self, values: &[f32]) -> Line {
        let (min, max) = values.iter().fold((0f64, f64::MIN), |(min, max), v| (min.min(f64::from(*v)), max.max(f64::from(*v))));
        let mut best = Line { scale: (max - min).max(0.0) / self.high, min };
        let mut line = best;
        for _ in 0..ROUNDS {
            line = self.refitted(line, values);
            if self.error(line, values) < self.error(best, values) {
                best = line;
            }
        }
        best
    }

    /// The line of least squares for the quants of a line.
    fn refitted(self, line: Line, values: &[f32]) -> Line {
        let (mut q, mut qq, mut v, mut qv) = (0.0, 0.0, 0.0, 0.0);
        for value in values.iter().map(|value| f64::from(*value)) {
            let quant = self.quant(line, value);
            (q, qq, v, qv) = (q + quant, qq + quant * quant, v + value, qv + quant * value);
        }
        let count = values.len() as f64;
        let spread = count * qq - q * q;
        let min = if spread > 0.0 { ((qq * v - q * qv) / spread).min(0.0) } else { 0.0 };
        let scale = if qq > 0.0 { (qv - min * q) / qq } else { 0.0 };
        if scale > 0.0 { Line { scale, min } } else { line }
    }

    /// A line through 0 that is nearly the best.
    fn ray(self, values: &[f32]) -> Line {
        let larger = |largest: f64, value: &f32| if f64::from(value.abs()) > largest.abs() { f64::from(*value) } else { largest };
        let largest = values.iter().fold(0.0, larger);
        let ray = |scale: f64| Line { scale, min: 0.0 };
        let tries = (-TENTHS..=TENTHS).map(|tenths| ray(largest / (self.low + 0.1 * f64::from(tenths))));
        let tries = tries.flat_map(|line| [line, self.slope(line, values)]);
        let better = |best: Line, line: Line| if self.error(line, values) < self.error(best, values) { line } else { best };
        tries.fold(ray(largest / self.low), better)
    }

    /// The line through 0 of least squares for the quants of a line.
    fn slope(self, line: Line, values: &[f32]) -> Line {
        let quants = values.iter().map(|value| (self.quant(line, f64::from(*value)), f64::from(*value)));
        let (qq, qv) = quants.fold((0.0, 0.0), |(qq, qv), (quant, value)| (qq + quant * quant, qv + quant * value));
        if qq > 0.0 { Line { scale: qv / qq, min: 0.0 } } else { line }
    }

    fn error(self, line: Line, values: &[f32]) -> f64 {
        let difference = |value: &f32| line.scale * self.quant(line, f64::from(*value)) + line.min - f64::from(*value);
        values.iter().map(|value| difference(value).powi(2)).sum()
    }
}

/// Writes the factors of all groups: a factor of the block with which the largest just fits, and integers.
fn write_factors(block: &mut [u8], factors: &[Factor], values: &[f64]) -> Option<()> {
    let [Factor::F16(byte), Factor::Packed(packed)] = factors else { return None };
    let (least, largest) = packed.range()?;
    let peak = values.iter().fold(0.0, |peak: f64, value| peak.max(value.abs()));
    let whole = f16::from_f64(peak / largest);
    block.get_mut(*byte as usize..)?.first_chunk_mut().map(|bytes| *bytes = whole.to_le_bytes())?;
    for (group, value) in values.iter().enumerate() {
        let ratio = if whole.to_f64() == 0.0 { 0.0 } else { (value / whole.to_f64()).round().clamp(least, largest) };
        packed.write(block, group, packed.code_of(ratio as i32)?)?;
    }
    Some(())
}

impl Packed {
    /// The smallest and the largest integer; no magnitude is greater than that of the largest.
    fn range(&self) -> Option<(f64, f64)> {
        match self.code {
            Code::Minus(zero) => {
                let largest = f64::from(self.largest()) - f64::from(zero);
                Some((if zero == 0 { 0.0 } else { -largest }, largest))
            }
            Code::Signed => Some((-127.0, 127.0)),
            Code::Table(_) => None,
        }
    }

    fn code_of(&self, integer: i32) -> Option<u32> {
        match self.code {
            Code::Minus(zero) => u32::try_from(integer + zero).ok(),
            Code::Signed => Some(u32::from(i8::try_from(integer).ok()? as u8)),
            Code::Table(_) => None,
        }
    }
}
