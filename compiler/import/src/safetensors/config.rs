use crate::{ImportError, files};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The largest JSON file that is read. Configurations have kilobytes, an index of many shards less than this.
const MAX_BYTES: u64 = 64 << 20;

/// A JSON file whose root is an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    path: PathBuf,
    object: Map<String, Value>,
}

/// What [`Config::get`] can give.
pub trait FromJson<'a>: Sized {
    /// What is expected, in words.
    const KIND: &'static str;
    /// The value, if it is of this kind and in range.
    fn from_json(value: &'a Value) -> Option<Self>;
}

impl Config {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ImportError> {
        let bytes = files::read(path, MAX_BYTES)?;
        let invalid = |error: serde_json::Error| ImportError::invalid("file", &path.display().to_string(), error.to_string());
        let object = serde_json::from_slice(&bytes).map_err(invalid)?;
        Ok(Self { path: path.to_path_buf(), object })
    }

    /// All keys and values, sorted by key.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] that names file and key, when it is missing or its value is of another kind.
    pub fn get<'a, T: FromJson<'a>>(&'a self, key: &str) -> Result<T, ImportError> {
        self.find(key)?.ok_or_else(|| self.invalid(format!("key `{key}` is missing; expected {}", T::KIND)))
    }

    /// The value of a key, if it is there and not null.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] that names file and key, when its value is of another kind.
    pub fn find<'a, T: FromJson<'a>>(&'a self, key: &str) -> Result<Option<T>, ImportError> {
        let Some(value) = self.object.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let problem = || self.invalid(format!("key `{key}`: expected {}", T::KIND));
        T::from_json(value).map(Some).ok_or_else(problem)
    }

    fn invalid(&self, problem: String) -> ImportError {
        ImportError::invalid("file", &self.path.display().to_string(), problem)
    }
}

impl<'a> FromJson<'a> for &'a Value {
    const KIND: &'static str = "a value";
    fn from_json(value: &'a Value) -> Option<Self> {
        Some(value)
    }
}

impl<'a> FromJson<'a> for &'a Map<String, Value> {
    const KIND: &'static str = "an object";
    fn from_json(value: &'a Value) -> Option<Self> {
        value.as_object()
    }
}

impl<'a> FromJson<'a> for &'a str {
    const KIND: &'static str = "a string";
    fn from_json(value: &'a Value) -> Option<Self> {
        value.as_str()
    }
}

impl FromJson<'_> for bool {
    const KIND: &'static str = "true or false";
    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromJson<'_> for usize {
    const KIND: &'static str = "a size";
    fn from_json(value: &Value) -> Option<Self> {
        value.as_u64().and_then(|value| usize::try_from(value).ok())
    }
}

impl FromJson<'_> for f64 {
    const KIND: &'static str = "a number";
    fn from_json(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl<'a, T: FromJson<'a>> FromJson<'a> for Vec<T> {
    const KIND: &'static str = "an array of values of one kind";
    fn from_json(value: &'a Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_json).collect()
    }
}
