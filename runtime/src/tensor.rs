use crate::RuntimeError;
use crate::bytes::AlignedBytes;
use lostwax_format::ElementType;
use std::fmt;

/// An element type.
#[derive(Clone, Copy)]
pub struct DType(&'static ElementType);

impl DType {
    /// The element type of that name, such as `f32`.
    pub fn from_name(name: &str) -> Option<Self> {
        ElementType::from_name(name).map(Self)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether slices of `T` hold elements of this type.
    pub fn is<T: Element>(self) -> bool {
        T::NAMES.contains(&self.0.name)
    }

    /// The bytes of a tensor; `None` if that does not fit an integer or the innermost size is not a whole number of blocks.
    pub fn byte_count(self, shape: &[usize]) -> Option<usize> {
        let dims: Option<u64> = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim as u64));
        let last = shape.last().map_or(1, |dim| *dim as u64);
        let whole = !self.0.is_block() || (!shape.is_empty() && last.is_multiple_of(self.0.values_per_unit));
        let bytes = (dims? / self.0.values_per_unit).checked_mul(self.0.unit_bytes).filter(|_| whole)?;
        usize::try_from(bytes).ok()
    }

    fn alignment(self) -> usize {
        if self.0.is_block() { 1 } else { self.0.unit_bytes as usize }
    }
}

impl PartialEq for DType {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for DType {}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A Rust type whose values are elements of tensors.
pub trait Element: bytemuck::Pod {
    /// The element types that it reads and writes; tensors made from slices get the first.
    const NAMES: &'static [&'static str];
}

macro_rules! elements {
    ($($rust:ty: $($name:literal)+;)*) => {
        $(impl Element for $rust {
            const NAMES: &'static [&'static str] = &[$($name),+];
        })*
    };
}

elements! {
    f32: "f32";
    f64: "f64";
    half::f16: "f16";
    half::bf16: "bf16";
    i8: "i8";
    i16: "i16";
    i32: "i32";
    i64: "i64";
    u8: "u8" "bool";
    u16: "u16";
    u32: "u32";
    u64: "u64";
}

fn element_of<T: Element>() -> Result<DType, RuntimeError> {
    let name = T::NAMES.first().copied().unwrap_or_default();
    DType::from_name(name).ok_or_else(|| RuntimeError::input("tensor", format!("there is no element type `{name}`")))
}

fn check_size(dtype: DType, shape: &[usize], bytes: usize) -> Result<(), RuntimeError> {
    let expected = dtype.byte_count(shape);
    let problem = || match expected {
        Some(expected) => format!("{dtype}{shape:?} takes {expected} bytes, not {bytes}"),
        None => format!("{dtype}{shape:?} is too large for a tensor"),
    };
    if expected == Some(bytes) { Ok(()) } else { Err(RuntimeError::input("tensor", problem())) }
}

fn cast<T: Element>(dtype: DType, bytes: &[u8]) -> Result<&[T], RuntimeError> {
    if !dtype.is::<T>() {
        return Err(RuntimeError::input("tensor", format!("holds {dtype}, not {}", T::NAMES.join(" or "))));
    }
    bytemuck::try_cast_slice(bytes).map_err(|error| RuntimeError::input("tensor", error.to_string()))
}

/// A borrowed tensor in row-major order.
#[derive(Clone, Copy)]
pub struct TensorView<'a> {
    dtype: DType,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// A view of a slice.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the slice does not have as many elements as the shape.
    pub fn new<T: Element>(values: &'a [T], shape: &'a [usize]) -> Result<Self, RuntimeError> {
        Self::with_dtype(element_of::<T>()?, shape, bytemuck::cast_slice(values))
    }

    /// A view of the bytes of a tensor, little-endian. They must be aligned to the element type.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such element type, or size or alignment are wrong.
    pub fn from_bytes(dtype: &str, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, RuntimeError> {
        let unknown = || RuntimeError::input("tensor", format!("there is no element type `{dtype}`"));
        Self::with_dtype(DType::from_name(dtype).ok_or_else(unknown)?, shape, bytes)
    }

    pub(crate) fn with_dtype(dtype: DType, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, RuntimeError> {
        check_size(dtype, shape, bytes.len())?;
        if !bytes.as_ptr().addr().is_multiple_of(dtype.alignment()) && !bytes.is_empty() {
            return Err(RuntimeError::input("tensor", format!("the bytes are not aligned for {dtype}")));
        }
        Ok(Self { dtype, shape, bytes })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes, outermost first.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The bytes, little-endian.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if `T` is not the element type.
    pub fn view<T: Element>(&self) -> Result<&'a [T], RuntimeError> {
        cast(self.dtype, self.bytes)
    }

    /// An owned copy.
    ///
    /// # Errors
    /// [`RuntimeError::LimitExceeded`] if there is no memory.
    pub fn to_tensor(&self) -> Result<Tensor, RuntimeError> {
        Ok(Tensor { dtype: self.dtype, shape: self.shape.to_vec(), bytes: AlignedBytes::copy_of(self.bytes)? })
    }
}

impl fmt::Debug for TensorView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// An owned tensor in row-major order, aligned to 64 bytes.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: AlignedBytes,
}

impl Tensor {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the shape is impossible, [`RuntimeError::LimitExceeded`] if there is no memory.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, RuntimeError> {
        let impossible = || RuntimeError::input("tensor", format!("{dtype}{shape:?} is too large for a tensor"));
        let bytes = AlignedBytes::zeroed(dtype.byte_count(shape).ok_or_else(impossible)?)?;
        Ok(Self { dtype, shape: shape.to_vec(), bytes })
    }

    /// A copy of a slice.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the slice does not have as many elements as the shape, [`RuntimeError::LimitExceeded`] if
    /// there is no memory.
    pub fn from_slice<T: Element>(values: &[T], shape: &[usize]) -> Result<Self, RuntimeError> {
        Self::from_bytes(element_of::<T>()?, shape, bytemuck::cast_slice(values))
    }

    /// A copy of bytes, little-endian, which need not be aligned.
    ///
    /// # Errors
    /// As [`Tensor::from_slice`].
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, RuntimeError> {
        check_size(dtype, shape, bytes.len())?;
        Ok(Self { dtype, shape: shape.to_vec(), bytes: AlignedBytes::copy_of(bytes)? })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes, little-endian.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// The bytes, little-endian.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut()
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if `T` is not the element type.
    pub fn view<T: Element>(&self) -> Result<&[T], RuntimeError> {
        cast(self.dtype, self.bytes())
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// As [`Tensor::view`].
    pub fn view_mut<T: Element>(&mut self) -> Result<&mut [T], RuntimeError> {
        cast::<T>(self.dtype, self.bytes.as_ref())?;
        bytemuck::try_cast_slice_mut(self.bytes.as_mut()).map_err(|error| RuntimeError::input("tensor", error.to_string()))
    }

    /// The tensor, borrowed.
    pub fn as_view(&self) -> TensorView<'_> {
        TensorView { dtype: self.dtype, shape: &self.shape, bytes: self.bytes() }
    }
}

impl<'a> From<&'a Tensor> for TensorView<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        tensor.as_view()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_view().fmt(f)
    }
}
