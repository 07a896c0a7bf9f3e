use super::Cursor;
use crate::ImportError;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any integer type.
    Integer(i128),
    /// Either floating-point type; f32 exactly.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// Text.
    String(String),
    /// Values of one type.
    Array(Array),
}

/// An array of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Unsigned, 8 bits.
    U8(Vec<u8>),
    /// Signed, 8 bits.
    I8(Vec<i8>),
    /// Unsigned, 16 bits.
    U16(Vec<u16>),
    /// Signed, 16 bits.
    I16(Vec<i16>),
    /// Unsigned, 32 bits.
    U32(Vec<u32>),
    /// Signed, 32 bits.
    I32(Vec<i32>),
    /// Unsigned, 64 bits.
    U64(Vec<u64>),
    /// Signed, 64 bits.
    I64(Vec<i64>),
    /// Binary32.
    F32(Vec<f32>),
    /// Binary64.
    F64(Vec<f64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts.
    String(Vec<String>),
    /// Arrays.
    Array(Vec<Array>),
}

/// The number that the file gives for the type of arrays, and the bytes that strings and arrays have at least.
const ARRAY: u32 = 9;
const STRING: u32 = 8;
const STRING_BYTES: usize = 8;
const ARRAY_BYTES: usize = 12;

/// How deep arrays may lie in each other.
const MAX_DEPTH: usize = 4;

impl Value {
    /// Reads a value with its type.
    pub(super) fn read(cursor: &mut Cursor) -> Result<Self, ImportError> {
        match cursor.u32()? {
            ARRAY => Array::read(cursor, 0).map(Self::Array),
            STRING => Ok(Self::String(cursor.string()?.to_string())),
            kind => {
                let one = Array::elements(cursor, kind, 1, 0)?;
                one.single().ok_or_else(|| cursor.invalid("it has no value"))
            }
        }
    }

    /// What the value is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
        }
    }
}

impl Array {
    fn read(cursor: &mut Cursor, depth: usize) -> Result<Self, ImportError> {
        if depth == MAX_DEPTH {
            return Err(cursor.limit(format!("arrays lie more than {MAX_DEPTH} deep in each other")));
        }
        let kind = cursor.u32()?;
        let count = cursor.count(match kind {
            STRING => STRING_BYTES,
            ARRAY => ARRAY_BYTES,
            _ => 1,
        })?;
        Self::elements(cursor, kind, count, depth)
    }

    fn elements(cursor: &mut Cursor, kind: u32, count: usize, depth: usize) -> Result<Self, ImportError> {
        Ok(match kind {
            0 => Self::U8(cursor.take(count)?.to_vec()),
            1 => Self::I8(cursor.numbers(count, i8::from_le_bytes)?),
            2 => Self::U16(cursor.numbers(count, u16::from_le_bytes)?),
            3 => Self::I16(cursor.numbers(count, i16::from_le_bytes)?),
            4 => Self::U32(cursor.numbers(count, u32::from_le_bytes)?),
            5 => Self::I32(cursor.numbers(count, i32::from_le_bytes)?),
            6 => Self::F32(cursor.numbers(count, f32::from_le_bytes)?),
            7 => Self::Bool(bools(cursor, count)?),
            STRING => Self::String((0..count).map(|_| cursor.string().map(str::to_string)).collect::<Result<_, _>>()?),
            ARRAY => Self::Array((0..count).map(|_| Self::read(cursor, depth + 1)).collect::<Result<_, _>>()?),
            10 => Self::U64(cursor.numbers(count, u64::from_le_bytes)?),
            11 => Self::I64(cursor.numbers(count, i64::from_le_bytes)?),
            12 => Self::F64(cursor.numbers(count, f64::from_le_bytes)?),
            _ => return Err(cursor.invalid(format!("type {kind} of a value is not known"))),
        })
    }

    /// The integers; `None` for other arrays.
    pub(super) fn integers(&self) -> Option<Vec<i128>> {
        fn widen<T: Copy + Into<i128>>(values: &[T]) -> Option<Vec<i128>> {
            Some(values.iter().map(|value| (*value).into()).collect())
        }
        match self {
            Self::U8(values) => widen(values),
            Self::I8(values) => widen(values),
            Self::U16(values) => widen(values),
            Self::I16(values) => widen(values),
            Self::U32(values) => widen(values),
            Self::I32(values) => widen(values),
            Self::U64(values) => widen(values),
            Self::I64(values) => widen(values),
            _ => None,
        }
    }

    /// The value of an array with one element that is neither a string nor an array.
    fn single(&self) -> Option<Value> {
        match self {
            Self::F32(values) => values.first().map(|value| Value::Float(f64::from(*value))),
            Self::F64(values) => values.first().copied().map(Value::Float),
            Self::Bool(values) => values.first().copied().map(Value::Bool),
            _ => self.integers()?.first().copied().map(Value::Integer),
        }
    }
}

fn bools(cursor: &mut Cursor, count: usize) -> Result<Vec<bool>, ImportError> {
    let bytes = cursor.take(count)?;
    if bytes.iter().any(|byte| *byte > 1) {
        return Err(cursor.invalid("a boolean is neither 0 nor 1"));
    }
    Ok(bytes.iter().map(|byte| *byte == 1).collect())
}
