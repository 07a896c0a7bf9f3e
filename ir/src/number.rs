//! Single values, and what the scalar operations do to them: the semantics that all targets reproduce.

use crate::scalar::{BinaryOp, UnaryOp};
use crate::types::DType;
use half::{bf16, f16};

/// A value of an element type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A floating-point number, representable in the type.
    Float(DType, f64),
    /// An integer or bool, representable in the type; u64 by its bits.
    Int(DType, i64),
}

impl Number {
    /// The value nearest to `value` in floating-point type `dtype`; other types truncate and saturate.
    pub fn float(dtype: DType, value: f64) -> Self {
        match dtype {
            DType::F64 => Self::Float(dtype, value),
            DType::F32 => Self::Float(dtype, f64::from(value as f32)),
            DType::F16 => Self::Float(dtype, f64::from(f16::from_f64(value))),
            DType::BF16 => Self::Float(dtype, f64::from(bf16::from_f64(value))),
            DType::Bool => Self::Int(dtype, i64::from(value != 0.0)),
            DType::U64 => Self::Int(dtype, value as u64 as i64),
            _ => {
                let (low, high) = int_range(dtype);
                Self::Int(dtype, (value as i64).clamp(low as i64, high as i64))
            }
        }
    }

    /// The integer `value` in type `dtype`: rounded for floats, wrapped for integers, tested for nonzero for bool.
    pub fn int(dtype: DType, value: i128) -> Self {
        match dtype {
            DType::F32 => Self::Float(dtype, f64::from(value as f32)),
            DType::F64 | DType::F16 | DType::BF16 => Self::float(dtype, value as f64),
            DType::Bool => Self::Int(dtype, i64::from(value != 0)),
            DType::I8 => Self::Int(dtype, i64::from(value as i8)),
            DType::U8 => Self::Int(dtype, i64::from(value as u8)),
            DType::I16 => Self::Int(dtype, i64::from(value as i16)),
            DType::U16 => Self::Int(dtype, i64::from(value as u16)),
            DType::I32 => Self::Int(dtype, i64::from(value as i32)),
            DType::U32 => Self::Int(dtype, i64::from(value as u32)),
            DType::I64 | DType::U64 | DType::Block(_) => Self::Int(dtype, value as i64),
        }
    }

    /// The value that `bits` stands for: an `f64` for floating-point types, the integer itself for others.
    pub fn from_bits(dtype: DType, bits: u64) -> Self {
        if dtype.is_float() { Self::float(dtype, f64::from_bits(bits)) } else { Self::int(dtype, i128::from(bits as i64)) }
    }

    /// The inverse of [`Number::from_bits`].
    pub fn to_bits(self) -> u64 {
        match self {
            Self::Float(_, value) => value.to_bits(),
            Self::Int(_, value) => value as u64,
        }
    }

    /// The type.
    pub fn dtype(self) -> DType {
        match self {
            Self::Float(dtype, _) | Self::Int(dtype, _) => dtype,
        }
    }

    /// The value as f64.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Float(_, value) => value,
            Self::Int(..) => self.as_i128() as f64,
        }
    }

    /// The value as an integer; floats truncate.
    pub fn as_i128(self) -> i128 {
        match self {
            Self::Float(_, value) => value as i128,
            Self::Int(DType::U64, value) => i128::from(value as u64),
            Self::Int(_, value) => i128::from(value),
        }
    }

    /// Whether the value is not zero.
    pub fn is_true(self) -> bool {
        match self {
            Self::Float(_, value) => value != 0.0,
            Self::Int(_, value) => value != 0,
        }
    }

    /// The value at the start of `bytes`; `None` if there are too few, or for block formats.
    pub fn read(dtype: DType, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..dtype.size())?;
        let mut raw = [0; 8];
        raw.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self::from_raw(dtype, u64::from_le_bytes(raw)))
    }

    /// Writes the value to the start of `bytes`; `None` if there are too few.
    pub fn write(self, bytes: &mut [u8]) -> Option<()> {
        let size = self.dtype().size();
        bytes.get_mut(..size)?.copy_from_slice(self.to_raw().to_le_bytes().get(..size)?);
        Some(())
    }

    /// The bits in memory, zero-extended.
    fn to_raw(self) -> u64 {
        match self {
            Self::Float(DType::F32, value) => u64::from((value as f32).to_bits()),
            Self::Float(DType::F16, value) => u64::from(f16::from_f64(value).to_bits()),
            Self::Float(DType::BF16, value) => u64::from(bf16::from_f64(value).to_bits()),
            Self::Float(_, value) => value.to_bits(),
            Self::Int(dtype, value) => value as u64 & (u64::MAX >> (64 - 8 * dtype.size().clamp(1, 8))),
        }
    }

    fn from_raw(dtype: DType, raw: u64) -> Self {
        match dtype {
            DType::F32 => Self::Float(dtype, f64::from(f32::from_bits(raw as u32))),
            DType::F16 => Self::Float(dtype, f64::from(f16::from_bits(raw as u16))),
            DType::BF16 => Self::Float(dtype, f64::from(bf16::from_bits(raw as u16))),
            DType::F64 => Self::Float(dtype, f64::from_bits(raw)),
            _ => Self::int(dtype, i128::from(raw)),
        }
    }

    /// Conversion: float to integer truncates and saturates, NaN gives 0; integer to integer wraps; to bool tests for
    /// nonzero; to float rounds.
    pub fn cast(self, dtype: DType) -> Self {
        match self {
            Self::Float(_, value) => Self::float(dtype, value),
            Self::Int(..) => Self::int(dtype, self.as_i128()),
        }
    }

    /// The same bits as another type of equal size.
    pub fn bitcast(self, dtype: DType) -> Option<Self> {
        (dtype.size() == self.dtype().size()).then(|| Self::from_raw(dtype, self.to_raw()))
    }

    /// `self << count`; integers only.
    pub fn shift_left(self, count: u32) -> Option<Self> {
        let Self::Int(dtype, value) = self else { return None };
        Some(Self::int(dtype, i128::from(value.checked_shl(count).unwrap_or(0))))
    }

    /// `self >> count`, keeping the sign of signed types; integers only.
    pub fn shift_right(self, count: u32) -> Option<Self> {
        let Self::Int(dtype, _) = self else { return None };
        Some(Self::int(dtype, self.as_i128() >> count.min(127)))
    }

    /// Applies an operation; `None` if it does not take the type.
    pub fn unary(self, op: UnaryOp) -> Option<Self> {
        match self {
            Self::Float(dtype, value) => Some(Self::float(dtype, unary_float(op, value)?)),
            Self::Int(dtype, _) => Some(Self::int(dtype, unary_int(op, dtype, self.as_i128())?)),
        }
    }

    /// Applies an operation to two values of one type; `None` if it does not take them.
    pub fn binary(self, op: BinaryOp, other: Self) -> Option<Self> {
        let dtype = self.dtype();
        if dtype != other.dtype() {
            return None;
        }
        if op.is_comparison() {
            return Some(Self::Int(DType::Bool, i64::from(self.compare(op, other))));
        }
        match (self, other) {
            (Self::Float(_, x), Self::Float(_, y)) => Some(Self::float(dtype, binary_float(op, x, y)?)),
            (_, y) if op == BinaryOp::ShiftRight => self.shift_right(y.as_i128().rem_euclid(dtype.size() as i128 * 8) as u32),
            _ => Some(Self::int(dtype, binary_int(op, self.as_i128(), other.as_i128())?)),
        }
    }

    /// `self * x + y` of values of one type, rounded once; `None` for other types.
    pub fn mul_add(self, x: Self, y: Self) -> Option<Self> {
        let dtype = self.dtype();
        if x.dtype() != dtype || y.dtype() != dtype {
            return None;
        }
        match (self, x, y) {
            (Self::Float(_, a), Self::Float(_, b), Self::Float(_, c)) => Some(Self::float(dtype, a.mul_add(b, c))),
            _ => Some(Self::int(dtype, self.as_i128().wrapping_mul(x.as_i128()).wrapping_add(y.as_i128()))),
        }
    }

    /// The four bytes of `self` times those of `signed`, whose bytes are signed, summed and added to `total`, which wraps. `None`
    /// but for two u32 and an i32.
    pub fn dot4(self, signed: Self, total: Self) -> Option<Self> {
        if (self.dtype(), signed.dtype(), total.dtype()) != (DType::U32, DType::U32, DType::I32) {
            return None;
        }
        let bytes = |number: Self| (number.as_i128() as u32).to_le_bytes();
        let products = bytes(self).into_iter().zip(bytes(signed)).map(|(x, y)| i128::from(x) * i128::from(y as i8));
        Some(Self::int(DType::I32, total.as_i128() + products.sum::<i128>()))
    }

    fn compare(self, op: BinaryOp, other: Self) -> bool {
        let order = match (self, other) {
            (Self::Float(_, x), Self::Float(_, y)) => x.partial_cmp(&y),
            _ => Some(self.as_i128().cmp(&other.as_i128())),
        };
        order.is_some_and(|order| match op {
            BinaryOp::Lt => order.is_lt(),
            BinaryOp::Le => order.is_le(),
            _ => order.is_eq(),
        })
    }
}

fn unary_float(op: UnaryOp, x: f64) -> Option<f64> {
    Some(match op {
        UnaryOp::Neg => -x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Exp => x.exp(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Recip => 1.0 / x,
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Erf => libm::erf(x),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Round => x.round_ties_even(),
        UnaryOp::Not => return None,
    })
}

fn unary_int(op: UnaryOp, dtype: DType, x: i128) -> Option<i128> {
    match op {
        UnaryOp::Neg => Some(-x),
        UnaryOp::Abs => Some(x.abs()),
        UnaryOp::Not if dtype == DType::Bool => Some(i128::from(x == 0)),
        _ => None,
    }
}

fn binary_float(op: BinaryOp, x: f64, y: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Pow => x.powf(y),
        BinaryOp::Min => minimum(x, y),
        BinaryOp::Max => maximum(x, y),
        BinaryOp::Mod => modulo(x, y),
        BinaryOp::Rem => x % y,
        _ => return None,
    })
}

fn binary_int(op: BinaryOp, x: i128, y: i128) -> Option<i128> {
    Some(match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x.wrapping_mul(y),
        BinaryOp::Div => x.checked_div(y).unwrap_or(0),
        BinaryOp::Min => x.min(y),
        BinaryOp::Max => x.max(y),
        BinaryOp::Mod => x.checked_rem(y).map_or(0, |rest| if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }),
        BinaryOp::Rem => x.checked_rem(y).unwrap_or(0),
        BinaryOp::And => x & y,
        BinaryOp::Or => x | y,
        BinaryOp::Xor => x ^ y,
        _ => return None,
    })
}

/// The smallest and largest value of an integer type or bool.
pub fn int_range(dtype: DType) -> (i128, i128) {
    let bits = if dtype == DType::Bool { 1 } else { dtype.size().min(8) as u32 * 8 };
    if dtype.is_signed_integer() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// The smaller; NaN if either is NaN.
pub fn minimum(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }
}

/// The larger; NaN if either is NaN.
pub fn maximum(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }
}

/// Remainder with the sign of `y`.
pub fn modulo(x: f64, y: f64) -> f64 {
    let rest = x % y;
    if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_saturate_wrap_and_test() {
        assert_eq!(Number::Float(DType::F32, 300.0).cast(DType::U8), Number::Int(DType::U8, 255));
        assert_eq!(Number::Float(DType::F32, f64::NAN).cast(DType::I32), Number::Int(DType::I32, 0));
        assert_eq!(Number::Int(DType::I32, 300).cast(DType::I8), Number::Int(DType::I8, 44));
        assert_eq!(Number::Float(DType::F32, 0.5).cast(DType::Bool), Number::Int(DType::Bool, 1));
        assert_eq!(Number::Int(DType::U64, -1).as_f64(), 18446744073709551616.0);
    }

    #[test]
    fn bits_round_trip() {
        for (dtype, value) in [(DType::F16, -1.5), (DType::BF16, 3.0), (DType::I8, -7.0), (DType::U64, 9.0)] {
            let (number, mut bytes) = (Number::float(dtype, value), [0; 8]);
            assert_eq!(number.write(&mut bytes), Some(()));
            assert_eq!(Number::read(dtype, &bytes), Some(number));
        }
        assert_eq!(Number::Float(DType::F32, 1.0).bitcast(DType::I32), Some(Number::Int(DType::I32, 0x3f80_0000)));
        assert_eq!(Number::Int(DType::I8, -128).shift_right(3), Some(Number::Int(DType::I8, -16)));
    }
}
