//! Element types and tensor types.

use crate::blocks::{BLOCK_FORMATS, BlockFormat};
use crate::dim::{Bindings, Dim, product};
use std::fmt;

/// The type of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32.
    BF16,
    /// IEEE 754 binary64.
    F64,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// One byte that holds 0 or 1.
    Bool,
    /// Quantized blocks along the innermost dimension: an entry of [`BLOCK_FORMATS`].
    Block(&'static BlockFormat),
}

const NAMED: &[(DType, &str, u32)] = &[
    (DType::F32, "f32", 4),
    (DType::F16, "f16", 2),
    (DType::BF16, "bf16", 2),
    (DType::F64, "f64", 8),
    (DType::I8, "i8", 1),
    (DType::I16, "i16", 2),
    (DType::I32, "i32", 4),
    (DType::I64, "i64", 8),
    (DType::U8, "u8", 1),
    (DType::U16, "u16", 2),
    (DType::U32, "u32", 4),
    (DType::U64, "u64", 8),
    (DType::Bool, "bool", 1),
];

impl DType {
    /// All element types that are not block formats.
    pub fn scalars() -> impl Iterator<Item = DType> {
        NAMED.iter().map(|(dtype, _, _)| *dtype)
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<DType> {
        let scalar = NAMED.iter().find(|(_, candidate, _)| *candidate == name).map(|(dtype, _, _)| *dtype);
        scalar.or_else(|| BLOCK_FORMATS.iter().find(|format| format.name == name).map(DType::Block))
    }

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            DType::Block(format) => format.name,
            _ => NAMED.iter().find(|(dtype, _, _)| *dtype == self).map_or("?", |(_, name, _)| name),
        }
    }

    /// Bytes of one element; of one block for block formats.
    pub fn size(self) -> usize {
        match self {
            DType::Block(format) => format.bytes as usize,
            _ => NAMED.iter().find(|(dtype, _, _)| *dtype == self).map_or(1, |(_, _, size)| *size as usize),
        }
    }

    /// Values that one stored unit holds: 1, or the block length.
    pub fn values_per_unit(self) -> usize {
        match self {
            DType::Block(format) => format.values as usize,
            _ => 1,
        }
    }

    /// Whether this is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F16 | DType::BF16 | DType::F64)
    }

    /// Whether this is a signed integer type.
    pub fn is_signed_integer(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    /// Whether this is an integer type, signed or not; bool is none.
    pub fn is_integer(self) -> bool {
        self.is_signed_integer() || matches!(self, DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Element type and shape of a tensor. Elements lie in row-major order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The sizes, outermost first.
    pub dims: Vec<Dim>,
}

impl TensorType {
    /// A tensor type from anything that makes dims.
    pub fn new<D: Into<Dim>>(dtype: DType, dims: impl IntoIterator<Item = D>) -> Self {
        Self { dtype, dims: dims.into_iter().map(Into::into).collect() }
    }

    /// A tensor of rank 0.
    pub fn scalar(dtype: DType) -> Self {
        Self { dtype, dims: Vec::new() }
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The number of elements.
    pub fn element_count(&self) -> Dim {
        product(&self.dims)
    }

    /// The number of bytes.
    pub fn byte_count(&self) -> Dim {
        let units = self.element_count().floor_div(self.dtype.values_per_unit() as i64);
        units * Dim::constant(self.dtype.size() as i64)
    }

    /// The sizes, when all are constants that fit memory.
    pub fn static_shape(&self) -> Option<Vec<usize>> {
        self.dims.iter().map(|dim| dim.as_constant().and_then(|value| usize::try_from(value).ok())).collect()
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<Dim> {
        let mut strides = vec![Dim::constant(1); self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].clone() * self.dims[axis].clone();
        }
        strides
    }

    /// The type with symbols replaced by the values of `bindings`.
    pub fn bind(&self, bindings: &Bindings) -> Self {
        Self { dtype: self.dtype, dims: self.dims.iter().map(|dim| dim.bind(bindings)).collect() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (axis, dim) in self.dims.iter().enumerate() {
            write!(f, "{}{dim}", if axis == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}
