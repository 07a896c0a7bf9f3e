//! Element values of the reference implementations.

use crate::tensor::Tensor;
use crate::types::DType;

/// What the reference implementations calculate with: f64 for floats, wrapping i64 for integers.
pub(in crate::ops) trait Element: Copy + Default + PartialEq {
    /// All elements of a tensor.
    fn read(tensor: &Tensor) -> Vec<Self>;
    /// A tensor of these elements, rounded or wrapped.
    fn write(dtype: DType, shape: &[usize], values: &[Self]) -> Option<Tensor>;
    /// `self + x * y`.
    fn plus_product(self, x: Self, y: Self) -> Self;
}

impl Element for f64 {
    fn read(tensor: &Tensor) -> Vec<Self> {
        tensor.to_f64()
    }

    fn write(dtype: DType, shape: &[usize], values: &[Self]) -> Option<Tensor> {
        Tensor::from_f64(dtype, shape, values)
    }

    #[inline(always)]
    fn plus_product(self, x: Self, y: Self) -> Self {
        self + x * y
    }
}

impl Element for i64 {
    fn read(tensor: &Tensor) -> Vec<Self> {
        tensor.to_i64()
    }

    fn write(dtype: DType, shape: &[usize], values: &[Self]) -> Option<Tensor> {
        Tensor::from_i64(dtype, shape, values)
    }

    #[inline(always)]
    fn plus_product(self, x: Self, y: Self) -> Self {
        self.wrapping_add(x.wrapping_mul(y))
    }
}

/// All elements of an integer or bool tensor, exactly.
pub(in crate::ops) fn to_i128(tensor: &Tensor) -> Vec<i128> {
    let unsigned = tensor.dtype() == DType::U64;
    let widen = |value: i64| if unsigned { i128::from(value as u64) } else { i128::from(value) };
    tensor.to_i64().into_iter().map(widen).collect()
}

/// A tensor of integer or bool type from exact values, wrapped.
pub(in crate::ops) fn from_i128(dtype: DType, shape: &[usize], values: &[i128]) -> Option<Tensor> {
    Tensor::from_i64(dtype, shape, &values.iter().map(|value| *value as i64).collect::<Vec<_>>())
}
