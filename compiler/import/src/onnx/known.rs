//! Small tensors whose elements are known at import, possibly as symbolic sizes.

use super::number::Number;
use lostwax_ir::dim::Dim;
use lostwax_ir::tensor::{Tensor, element_count};
use lostwax_ir::types::DType;

/// The largest number of elements that is followed.
pub(super) const MAX_ELEMENTS: usize = 1024;

/// A tensor of known numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) values: Vec<Number>,
}

impl Known {
    pub(super) fn new(dtype: DType, shape: Vec<usize>, values: Vec<Number>) -> Option<Self> {
        let fits = values.len() <= MAX_ELEMENTS && element_count(&shape) == Some(values.len());
        fits.then_some(Self { shape, dtype, values })
    }

    pub(super) fn scalar(dtype: DType, value: impl Into<Number>) -> Self {
        Self { shape: Vec::new(), dtype, values: vec![value.into()] }
    }

    /// A vector of sizes.
    pub(super) fn sizes(dims: &[Dim]) -> Self {
        let values = dims.iter().map(|dim| dim.clone().into()).collect();
        Self { shape: vec![dims.len()], dtype: DType::I64, values }
    }

    /// The elements of a small tensor, where they are integers or quotients of small ones.
    pub(super) fn from_tensor(tensor: &Tensor) -> Option<Self> {
        if tensor.len() > MAX_ELEMENTS || matches!(tensor.dtype(), DType::Block(_)) {
            return None;
        }
        let values: Option<Vec<Number>> = if tensor.dtype().is_float() {
            tensor.to_f64().into_iter().map(Number::from_f64).collect()
        } else if tensor.dtype() == DType::U64 && tensor.to_i64().iter().any(|value| *value < 0) {
            None
        } else {
            Some(tensor.to_i64().into_iter().map(Number::from).collect())
        };
        Self::new(tensor.dtype(), tensor.shape().to_vec(), values?)
    }

    /// The constant tensor, if no element is symbolic.
    pub(super) fn to_tensor(&self) -> Option<Tensor> {
        if self.dtype.is_float() {
            let values: Option<Vec<f64>> = self.values.iter().map(Number::as_f64).collect();
            return Tensor::from_f64(self.dtype, &self.shape, &values?);
        }
        Tensor::from_i64(self.dtype, &self.shape, &self.integers()?)
    }

    /// The elements, if all are constant integers.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        self.values.iter().map(Number::as_i64).collect()
    }

    /// The elements, if all are integers.
    pub(super) fn dims(&self) -> Option<Vec<Dim>> {
        self.values.iter().map(|value| value.as_dim().cloned()).collect()
    }

    pub(super) fn reshaped(mut self, shape: Vec<usize>) -> Option<Self> {
        (element_count(&shape)? == self.values.len()).then(|| {
            self.shape = shape;
            self
        })
    }

    pub(super) fn map(&self, dtype: DType, apply: impl Fn(&Number) -> Option<Number>) -> Option<Self> {
        let values: Option<Vec<Number>> = self.values.iter().map(apply).collect();
        Self { shape: self.shape.clone(), dtype, values: values? }.in_range()
    }

    pub(super) fn cast(&self, dtype: DType) -> Option<Self> {
        if dtype.is_float() {
            return self.map(dtype, |value| Some(value.clone()));
        }
        if dtype == DType::Bool {
            return self.map(dtype, |value| value.equal(&0.into())?.not());
        }
        self.map(dtype, Number::truncate)
    }

    /// Nothing for constants that do not fit the integer type, as they would wrap around.
    fn in_range(self) -> Option<Self> {
        let bits = 8 * self.dtype.size() as u32;
        let fits = |value: i64| {
            if self.dtype.is_signed_integer() {
                bits == 64 || (-(1i64 << (bits - 1))..1i64 << (bits - 1)).contains(&value)
            } else {
                value >= 0 && (bits == 64 || value < 1i64 << bits)
            }
        };
        let all_fit = !self.dtype.is_integer() || self.values.iter().all(|value| value.as_i64().is_none_or(fits));
        all_fit.then_some(self)
    }

    /// Combines elements with numpy's broadcasting.
    pub(super) fn zip(&self, other: &Self, dtype: DType, apply: impl Fn(&Number, &Number) -> Option<Number>) -> Option<Self> {
        let shape = broadcast_shapes(&self.shape, &other.shape)?;
        let (left, right) = (self.broadcast(&shape)?, other.broadcast(&shape)?);
        let values: Option<Vec<Number>> = left.values.iter().zip(&right.values).map(|(a, b)| apply(a, b)).collect();
        Self::new(dtype, shape, values?)?.in_range()
    }

    /// Numpy's broadcasting to a shape that it fits.
    pub(super) fn broadcast(&self, shape: &[usize]) -> Option<Self> {
        let missing = shape.len().checked_sub(self.shape.len())?;
        self.pick(shape.to_vec(), |index| {
            let own = index[missing..].iter().zip(&self.shape).map(|(i, size)| if *size == 1 { 0 } else { *i });
            Some(own.collect())
        })
    }

    /// A tensor whose element at an index is our element at the index that `source` gives.
    pub(super) fn pick(&self, shape: Vec<usize>, source: impl Fn(&[usize]) -> Option<Vec<usize>>) -> Option<Self> {
        let count = element_count(&shape).filter(|count| *count <= MAX_ELEMENTS)?;
        let mut values = Vec::with_capacity(count);
        for position in 0..count {
            let from = source(&unravel(position, &shape))?;
            values.push(self.values.get(ravel(&from, &self.shape)?)?.clone());
        }
        Self::new(self.dtype, shape, values)
    }

    pub(super) fn concat(parts: &[Self], axis: usize) -> Option<Self> {
        let first = parts.first()?;
        let mut shape = first.shape.clone();
        let rows: usize = shape.get(..axis)?.iter().product();
        let mut values = Vec::new();
        for row in 0..rows {
            for part in parts {
                let width = part.values.len().checked_div(rows)?;
                values.extend_from_slice(part.values.get(row * width..(row + 1) * width)?);
            }
        }
        *shape.get_mut(axis)? = parts.iter().map(|part| part.shape.get(axis).copied().unwrap_or(0)).sum();
        Self::new(first.dtype, shape, values)
    }
}

fn broadcast_shapes(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, 1) => Some(x),
            (1, y) => Some(y),
            (x, y) => (x == y).then_some(x),
        })
        .collect()
}

fn unravel(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, size) in index.iter_mut().zip(shape).rev() {
        *i = position % size.max(&1);
        position /= size.max(&1);
    }
    index
}

fn ravel(index: &[usize], shape: &[usize]) -> Option<usize> {
    if index.len() != shape.len() {
        return None;
    }
    index.iter().zip(shape).try_fold(0, |position, (i, size)| (i < size).then_some(position * size + i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: &[i64]) -> Known {
        let numbers = values.iter().map(|value| Number::from(*value)).collect();
        Known { shape: vec![values.len()], dtype: DType::I64, values: numbers }
    }

    #[test]
    fn broadcasts_like_numpy() {
        let column = vector(&[1, 2]).reshaped(vec![2, 1]);
        let sum = column.and_then(|column| column.zip(&vector(&[10, 20, 30]), DType::I64, Number::add));
        assert_eq!(sum.as_ref().map(|sum| sum.shape.clone()), Some(vec![2, 3]));
        assert_eq!(sum.and_then(|sum| sum.integers()), Some(vec![11, 21, 31, 12, 22, 32]));
        assert_eq!(vector(&[1, 2]).zip(&vector(&[1, 2, 3]), DType::I64, Number::add), None);
    }

    #[test]
    fn concatenates_along_any_axis() {
        let left = vector(&[1, 2]).reshaped(vec![2, 1]);
        let right = vector(&[3, 4, 5, 6]).reshaped(vec![2, 2]);
        let both: Option<Vec<Known>> = [left, right].into_iter().collect();
        let joined = both.and_then(|parts| Known::concat(&parts, 1));
        assert_eq!(joined.and_then(|joined| joined.integers()), Some(vec![1, 3, 4, 2, 5, 6]));
    }

    #[test]
    fn wrapping_is_left_to_the_tensor_op() {
        assert_eq!(vector(&[300]).cast(DType::U8), None);
        assert_eq!(vector(&[-1]).cast(DType::Bool).and_then(|known| known.integers()), Some(vec![1]));
    }
}
