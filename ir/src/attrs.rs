//! Attributes of nodes: plain ordered data.

use crate::dim::{Bindings, Dim};
use crate::types::DType;
use std::collections::BTreeMap;

/// One attribute value. Ordered and hashable, so that nodes are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A floating-point number by its bits; see [`Attr::float`].
    Float(u64),
    /// A flag.
    Bool(bool),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of symbolic integers.
    Dims(Vec<Dim>),
    /// An element type.
    DType(DType),
    /// A name.
    Text(String),
}

/// The kind of an attribute value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrKind {
    /// [`Attr::Int`].
    Int,
    /// [`Attr::Float`].
    Float,
    /// [`Attr::Bool`].
    Bool,
    /// [`Attr::Ints`].
    Ints,
    /// [`Attr::Dims`].
    Dims,
    /// [`Attr::DType`].
    DType,
    /// [`Attr::Text`].
    Text,
}

impl Attr {
    /// A floating-point attribute.
    pub fn float(value: f64) -> Self {
        Self::Float(value.to_bits())
    }

    /// The kind of this value.
    pub fn kind(&self) -> AttrKind {
        match self {
            Self::Int(_) => AttrKind::Int,
            Self::Float(_) => AttrKind::Float,
            Self::Bool(_) => AttrKind::Bool,
            Self::Ints(_) => AttrKind::Ints,
            Self::Dims(_) => AttrKind::Dims,
            Self::DType(_) => AttrKind::DType,
            Self::Text(_) => AttrKind::Text,
        }
    }
}

macro_rules! attr_from {
    ($($type:ty => $make:expr,)*) => {
        $(impl From<$type> for Attr {
            fn from(value: $type) -> Self {
                #[allow(clippy::redundant_closure_call, reason = "the macro takes any conversion")]
                $make(value)
            }
        })*
    };
}

attr_from! {
    i64 => Attr::Int,
    f64 => Attr::float,
    bool => Attr::Bool,
    Vec<i64> => Attr::Ints,
    &[i64] => |value: &[i64]| Attr::Ints(value.to_vec()),
    Vec<Dim> => Attr::Dims,
    &[Dim] => |value: &[Dim]| Attr::Dims(value.to_vec()),
    DType => Attr::DType,
    &str => |value: &str| Attr::Text(value.to_string()),
    String => Attr::Text,
}

/// The attributes of one node by name. The typed getters give a neutral value for a missing or mistyped attribute: the
/// presence and kind of all declared attributes is checked when a node is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attrs(BTreeMap<&'static str, Attr>);

impl Attrs {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same attributes with one more, or one replaced.
    pub fn with(mut self, name: &'static str, value: impl Into<Attr>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    /// All names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Attr)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// The attribute of that name.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.get(name)
    }

    /// An integer; 0 if missing.
    pub fn int(&self, name: &str) -> i64 {
        if let Some(Attr::Int(value)) = self.get(name) { *value } else { 0 }
    }

    /// A floating-point number; 0 if missing.
    pub fn float(&self, name: &str) -> f64 {
        if let Some(Attr::Float(bits)) = self.get(name) { f64::from_bits(*bits) } else { 0.0 }
    }

    /// A flag; false if missing.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Attr::Bool(true)))
    }

    /// A list of integers; empty if missing.
    pub fn ints(&self, name: &str) -> &[i64] {
        if let Some(Attr::Ints(values)) = self.get(name) { values } else { &[] }
    }

    /// A list of symbolic integers; empty if missing.
    pub fn dims(&self, name: &str) -> &[Dim] {
        if let Some(Attr::Dims(values)) = self.get(name) { values } else { &[] }
    }

    /// An element type; f32 if missing.
    pub fn dtype(&self, name: &str) -> DType {
        if let Some(Attr::DType(value)) = self.get(name) { *value } else { DType::F32 }
    }

    /// A name; empty if missing.
    pub fn text(&self, name: &str) -> &str {
        if let Some(Attr::Text(value)) = self.get(name) { value } else { "" }
    }

    /// The attributes with symbols replaced by the values of `bindings`.
    pub fn bind(&self, bindings: &Bindings) -> Self {
        let bind = |attr: &Attr| match attr {
            Attr::Dims(dims) => Attr::Dims(dims.iter().map(|dim| dim.bind(bindings)).collect()),
            other => other.clone(),
        };
        Self(self.0.iter().map(|(name, attr)| (*name, bind(attr))).collect())
    }
}
