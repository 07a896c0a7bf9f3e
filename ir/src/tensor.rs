//! Tensors in host memory: constants of a graph, inputs and results of the interpreter.

use crate::number::Number;
use crate::types::{DType, TensorType};
use bytemuck::Pod;
use half::{bf16, f16};

/// A tensor with known sizes; elements lie in row-major order in memory aligned to 8 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    words: Vec<u64>,
}

/// The number of elements of a shape, or `None` if it does not fit memory.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |total, size| total.checked_mul(*size)).filter(|count| *count < isize::MAX as usize / 16)
}

fn byte_count(dtype: DType, shape: &[usize]) -> Option<usize> {
    let whole = shape.last().copied().unwrap_or(1).is_multiple_of(dtype.values_per_unit());
    Some(element_count(shape).filter(|_| whole)? / dtype.values_per_unit() * dtype.size())
}

impl Tensor {
    /// A tensor whose bytes are zero. `None` for a shape that does not fit memory, or whose rows are not whole blocks.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Option<Self> {
        let bytes = byte_count(dtype, shape)?;
        let mut words = Vec::new();
        words.try_reserve_exact(bytes.div_ceil(8)).ok()?;
        words.resize(bytes.div_ceil(8), 0);
        Some(Self { dtype, shape: shape.to_vec(), words })
    }

    /// A tensor from its bytes in the machine's (little-endian) order; `None` if their number does not fit the shape. Nothing is
    /// allocated then.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Option<Self> {
        if byte_count(dtype, shape)? != bytes.len() {
            return None;
        }
        let mut tensor = Self::zeros(dtype, shape)?;
        tensor.bytes_mut().copy_from_slice(bytes);
        Some(tensor)
    }

    /// A tensor from typed elements; `None` if their number or size does not fit.
    pub fn from_slice<T: Pod>(dtype: DType, shape: &[usize], values: &[T]) -> Option<Self> {
        Self::from_bytes(dtype, shape, bytemuck::cast_slice(values))
    }

    /// An f32 tensor; `None` if the number of values does not fit the shape.
    pub fn f32(shape: &[usize], values: &[f32]) -> Option<Self> {
        Self::from_slice(DType::F32, shape, values)
    }

    /// An i64 tensor; `None` if the number of values does not fit the shape.
    pub fn i64(shape: &[usize], values: &[i64]) -> Option<Self> {
        Self::from_slice(DType::I64, shape, values)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type with constant dims.
    pub fn ty(&self) -> TensorType {
        TensorType::new(self.dtype, self.shape.iter().map(|size| *size as i64))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn byte_count(&self) -> usize {
        self.len() / self.dtype.values_per_unit() * self.dtype.size()
    }

    /// The elements as bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.byte_count()]
    }

    /// The elements as bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let count = self.byte_count();
        &mut bytemuck::cast_slice_mut(&mut self.words)[..count]
    }

    /// The elements as a Rust type of the same size; empty when the size differs from the element type's.
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        if size_of::<T>() == self.dtype.size() { bytemuck::try_cast_slice(self.bytes()).unwrap_or(&[]) } else { &[] }
    }

    /// The elements as a Rust type of the same size; empty when the size differs from the element type's.
    pub fn as_mut_slice<T: Pod>(&mut self) -> &mut [T] {
        if size_of::<T>() != self.dtype.size() {
            return &mut [];
        }
        bytemuck::try_cast_slice_mut(self.bytes_mut()).unwrap_or(&mut [])
    }

    /// The same elements under another shape; `None` if their number differs.
    pub fn reshaped(mut self, shape: &[usize]) -> Option<Self> {
        (element_count(shape)? == self.len()).then(|| {
            self.shape = shape.to_vec();
            self
        })
    }

    /// The element at a position in row-major order; f32 for block formats, `None` outside of the tensor.
    pub fn element(&self, position: usize) -> Option<Number> {
        match self.dtype {
            DType::Block(format) => Some(Number::Float(DType::F32, f64::from(format.decode_value(self.bytes(), position)?))),
            dtype => Number::read(dtype, self.bytes().get(position.checked_mul(dtype.size())?..)?),
        }
    }

    /// All elements as f64, those of block formats decoded; integers beyond 2^53 lose precision.
    pub fn to_f64(&self) -> Vec<f64> {
        match self.dtype {
            DType::F32 => self.as_slice::<f32>().iter().map(|v| f64::from(*v)).collect(),
            DType::F64 => self.as_slice::<f64>().to_vec(),
            DType::F16 => self.as_slice::<f16>().iter().map(|v| f64::from(*v)).collect(),
            DType::BF16 => self.as_slice::<bf16>().iter().map(|v| f64::from(*v)).collect(),
            DType::Block(format) => format.decode(self.bytes()).unwrap_or_default().into_iter().map(f64::from).collect(),
            _ => self.to_i64().into_iter().map(|v| v as f64).collect(),
        }
    }

    /// All elements as i64; floats truncate and saturate, u64 wraps.
    pub fn to_i64(&self) -> Vec<i64> {
        match self.dtype {
            DType::I8 => self.as_slice::<i8>().iter().map(|v| i64::from(*v)).collect(),
            DType::I16 => self.as_slice::<i16>().iter().map(|v| i64::from(*v)).collect(),
            DType::I32 => self.as_slice::<i32>().iter().map(|v| i64::from(*v)).collect(),
            DType::I64 => self.as_slice::<i64>().to_vec(),
            DType::U8 | DType::Bool => self.as_slice::<u8>().iter().map(|v| i64::from(*v)).collect(),
            DType::U16 => self.as_slice::<u16>().iter().map(|v| i64::from(*v)).collect(),
            DType::U32 => self.as_slice::<u32>().iter().map(|v| i64::from(*v)).collect(),
            DType::U64 => self.as_slice::<u64>().iter().map(|v| *v as i64).collect(),
            _ => self.to_f64().into_iter().map(|v| v as i64).collect(),
        }
    }

    /// A tensor of floating-point type or block format `dtype` from f64 values, rounded. `None` if their number does not fit, or
    /// if the format has no encoder ([`BlockFormat::encode_block`](crate::blocks::BlockFormat::encode_block)).
    pub fn from_f64(dtype: DType, shape: &[usize], values: &[f64]) -> Option<Self> {
        match dtype {
            DType::F32 => Self::from_slice(dtype, shape, &values.iter().map(|v| *v as f32).collect::<Vec<_>>()),
            DType::F64 => Self::from_slice(dtype, shape, values),
            DType::F16 => Self::from_slice(dtype, shape, &values.iter().map(|v| f16::from_f64(*v)).collect::<Vec<_>>()),
            DType::BF16 => Self::from_slice(dtype, shape, &values.iter().map(|v| bf16::from_f64(*v)).collect::<Vec<_>>()),
            DType::Block(format) => {
                Self::from_bytes(dtype, shape, &format.encode(&values.iter().map(|v| *v as f32).collect::<Vec<_>>())?)
            }
            _ => Self::from_i64(dtype, shape, &values.iter().map(|v| *v as i64).collect::<Vec<_>>()),
        }
    }

    /// A tensor of integer or bool type `dtype` from i64 values, wrapped; `None` if their number does not fit.
    pub fn from_i64(dtype: DType, shape: &[usize], values: &[i64]) -> Option<Self> {
        match dtype {
            DType::I8 | DType::U8 => Self::from_slice(dtype, shape, &values.iter().map(|v| *v as u8).collect::<Vec<_>>()),
            DType::I16 | DType::U16 => Self::from_slice(dtype, shape, &values.iter().map(|v| *v as u16).collect::<Vec<_>>()),
            DType::I32 | DType::U32 => Self::from_slice(dtype, shape, &values.iter().map(|v| *v as u32).collect::<Vec<_>>()),
            DType::I64 | DType::U64 => Self::from_slice(dtype, shape, values),
            DType::Bool => Self::from_slice(dtype, shape, &values.iter().map(|v| u8::from(*v != 0)).collect::<Vec<_>>()),
            DType::Block(_) => None,
            _ => Self::from_f64(dtype, shape, &values.iter().map(|v| *v as f64).collect::<Vec<_>>()),
        }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor {}", self.ty())
    }
}
