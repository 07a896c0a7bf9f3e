//! Named tensors in mapped files.

use super::ImportError;
use indexmap::IndexMap;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use lostwax_runtime::MappedFile;
use std::ops::Range;

/// The weights of a model: tensors by name, as the files name and order them. Bytes are mapped, and read when they are looked at.
#[derive(Clone, Default)]
pub struct Weights {
    files: Vec<MappedFile>,
    entries: IndexMap<String, (usize, Entry)>,
}

/// A tensor of a mapped file.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    /// Its bytes, counted from the start of the file.
    pub(super) range: Range<usize>,
}

/// One tensor, not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightView<'a> {
    /// The name in the file.
    pub name: &'a str,
    /// The element type.
    pub dtype: DType,
    /// The sizes, outermost first; elements lie in row-major order.
    pub shape: &'a [usize],
    /// The elements, little endian. They need not be aligned.
    pub bytes: &'a [u8],
}

impl Weights {
    /// Adds a file with its tensors, whose ranges lie in the file; the name that is there already is the error.
    pub(super) fn add(&mut self, file: MappedFile, entries: IndexMap<String, Entry>) -> Result<(), String> {
        if let Some(name) = entries.keys().find(|name| self.entries.contains_key(*name)) {
            return Err(name.clone());
        }
        let number = self.files.len();
        self.files.push(file);
        self.entries.extend(entries.into_iter().map(|(name, entry)| (name, (number, entry))));
        Ok(())
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All tensors, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = WeightView<'_>> {
        self.entries.keys().filter_map(|name| self.get(name))
    }

    /// The tensor of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<WeightView<'_>> {
        let (name, (file, entry)) = self.entries.get_key_value(name)?;
        let bytes = self.files.get(*file)?.as_ref().get(entry.range.clone())?;
        Some(WeightView { name, dtype: entry.dtype, shape: &entry.shape, bytes })
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] when there is none.
    pub fn tensor(&self, name: &str) -> Result<WeightView<'_>, ImportError> {
        self.get(name).ok_or_else(|| ImportError::invalid("tensor", name, "the model does not have it"))
    }
}

impl WeightView<'_> {
    /// A copy.
    ///
    /// # Errors
    /// [`ImportError::LimitExceeded`] when it does not fit memory.
    pub fn to_tensor(&self) -> Result<Tensor, ImportError> {
        let tensor = Tensor::from_bytes(self.dtype, self.shape, self.bytes);
        tensor.ok_or_else(|| ImportError::limit("tensor", self.name, "it does not fit memory"))
    }
}

/// The bytes of a tensor. `None` when they do not fit an integer, or when rows are not a whole number of blocks.
pub(super) fn byte_count(dtype: DType, shape: &[usize]) -> Option<usize> {
    let whole = shape.last().copied().unwrap_or(1).is_multiple_of(dtype.values_per_unit());
    let values = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    (values.filter(|_| whole)? / dtype.values_per_unit()).checked_mul(dtype.size())
}
