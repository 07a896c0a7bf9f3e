use super::{Array, Value};
use crate::ImportError;
use indexmap::IndexMap;

/// The keys and values of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(pub(super) IndexMap<String, Value>);

/// What [`Metadata::get`] can give.
pub trait FromValue<'a>: Sized {
    /// What is expected, in words.
    const KIND: &'static str;
    /// The value, if it is of this kind and in range.
    fn from_value(value: &'a Value) -> Option<Self>;
}

impl Metadata {
    /// All keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] that names the key, when it is missing or its value is of another kind or out of range.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T, ImportError> {
        self.find(key)?.ok_or_else(|| ImportError::invalid("metadata key", key, format!("it is missing; expected {}", T::KIND)))
    }

    /// The value of a key, if it is there.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] that names the key, when its value is of another kind or out of range.
    pub fn find<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>, ImportError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let problem = || format!("expected {}, not {} or a value out of range", T::KIND, value.kind());
        T::from_value(value).map(Some).ok_or_else(|| ImportError::invalid("metadata key", key, problem()))
    }
}

impl<'a> FromValue<'a> for &'a Value {
    const KIND: &'static str = "a value";
    fn from_value(value: &'a Value) -> Option<Self> {
        Some(value)
    }
}

impl FromValue<'_> for bool {
    const KIND: &'static str = "a boolean";
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Bool(value) = value { Some(*value) } else { None }
    }
}

impl FromValue<'_> for f64 {
    const KIND: &'static str = "a floating-point number";
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Float(value) = value { Some(*value) } else { None }
    }
}

impl FromValue<'_> for f32 {
    const KIND: &'static str = f64::KIND;
    fn from_value(value: &Value) -> Option<Self> {
        f64::from_value(value).map(|value| value as f32)
    }
}

fn integer<T: TryFrom<i128>>(value: &Value) -> Option<T> {
    if let Value::Integer(value) = value { T::try_from(*value).ok() } else { None }
}

fn integers<T: TryFrom<i128>>(value: &Value) -> Option<Vec<T>> {
    let Value::Array(array) = value else { return None };
    array.integers()?.into_iter().map(|value| T::try_from(value).ok()).collect()
}

impl FromValue<'_> for u32 {
    const KIND: &'static str = "an integer from 0 to 2^32 - 1";
    fn from_value(value: &Value) -> Option<Self> {
        integer(value)
    }
}

impl FromValue<'_> for usize {
    const KIND: &'static str = "a size";
    fn from_value(value: &Value) -> Option<Self> {
        integer(value)
    }
}

impl FromValue<'_> for i64 {
    const KIND: &'static str = "an integer";
    fn from_value(value: &Value) -> Option<Self> {
        integer(value)
    }
}

impl FromValue<'_> for Vec<usize> {
    const KIND: &'static str = "an array of sizes";
    fn from_value(value: &Value) -> Option<Self> {
        integers(value)
    }
}

impl FromValue<'_> for Vec<i64> {
    const KIND: &'static str = "an array of integers";
    fn from_value(value: &Value) -> Option<Self> {
        integers(value)
    }
}

impl<'a> FromValue<'a> for &'a [f32] {
    const KIND: &'static str = "an array of binary32 numbers";
    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::Array(Array::F32(values)) = value { Some(values) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a [bool] {
    const KIND: &'static str = "an array of booleans";
    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::Array(Array::Bool(values)) = value { Some(values) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const KIND: &'static str = "a string";
    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::String(value) = value { Some(value) } else { None }
    }
}

impl<'a> FromValue<'a> for &'a [String] {
    const KIND: &'static str = "an array of strings";
    fn from_value(value: &'a Value) -> Option<Self> {
        if let Value::Array(Array::String(values)) = value { Some(values) } else { None }
    }
}
