use crate::ImportError;

/// Reads numbers and strings from the start of a file on. Errors carry the name of the part that is read.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The kind and name of the part.
    part: (&'static str, String),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, part: ("file", "header".to_string()) }
    }

    /// Says what is read next.
    pub(super) fn enter(&mut self, kind: &'static str, name: &str) {
        self.part = (kind, name.to_string());
    }

    /// The position, in bytes from the start of the file.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn invalid(&self, problem: impl Into<String>) -> ImportError {
        ImportError::invalid(self.part.0, &self.part.1, problem)
    }

    pub(super) fn unsupported(&self, what: impl Into<String>) -> ImportError {
        ImportError::unsupported(self.part.0, &self.part.1, what)
    }

    pub(super) fn limit(&self, what: impl Into<String>) -> ImportError {
        ImportError::limit(self.part.0, &self.part.1, what)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ImportError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.invalid("it does not fit the file"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or_else(|| self.invalid("it does not fit the file"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ImportError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ImportError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things that take at least `size` bytes each.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, ImportError> {
        let (count, rest) = (self.u64()?, self.bytes.len() - self.at);
        let fits = usize::try_from(count).ok().filter(|count| count.checked_mul(size).is_some_and(|bytes| bytes <= rest));
        fits.ok_or_else(|| self.invalid(format!("it claims {count} items, more than fit the file")))
    }

    /// The elements of an array of numbers.
    pub(super) fn numbers<T, const N: usize>(&mut self, count: usize, read: fn([u8; N]) -> T) -> Result<Vec<T>, ImportError> {
        let bytes = count.checked_mul(N).ok_or_else(|| self.invalid("it does not fit the file"))?;
        Ok(self.take(bytes)?.as_chunks().0.iter().map(|chunk| read(*chunk)).collect())
    }

    pub(super) fn string(&mut self) -> Result<&'a str, ImportError> {
        let length = self.count(1)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.invalid("a string is not UTF-8"))
    }
}
