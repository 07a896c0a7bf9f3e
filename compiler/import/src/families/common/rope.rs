//! Rotary positions (Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021): pairs of elements of a
//! head are turned by angles that grow with the position. Element `i` and element `i + rotary / 2` are a pair.

use super::builder::{Builder, Built, dim};
use crate::ImportError;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{TypeError, Value};
use lostwax_ir::tensor::Tensor;
use std::sync::Arc;

/// The maximum number of elements of a table.
const MAX_TABLE: usize = 1 << 28;

/// One way to turn heads.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The angle per position, for each pair.
    pub frequencies: Vec<f64>,
    /// A factor of what was turned.
    pub factor: f64,
}

impl Rope {
    /// Frequencies `base^(-2 i / rotary)`.
    pub fn new(base: f64, rotary: usize) -> Self {
        let frequency = |pair: usize| base.powf(-2.0 * pair as f64 / rotary as f64);
        Self { frequencies: (0..rotary / 2).map(frequency).collect(), factor: 1.0 }
    }

    /// Sines and cosines for all positions of a context.
    ///
    /// # Errors
    /// [`ImportError::LimitExceeded`] when they do not fit memory.
    pub fn tables(&self, context: usize) -> Result<Tables, ImportError> {
        let half = self.frequencies.len();
        let too_large = || ImportError::limit("table", "rotary positions", format!("{context} tokens; use a smaller context"));
        if context.checked_mul(2 * half).is_none_or(|count| count > MAX_TABLE) {
            return Err(too_large());
        }
        let table = |rows: usize, value: &dyn Fn(f64, usize) -> f64| {
            let cells = (0..context).flat_map(|position| (0..rows).map(move |row| (position, row)));
            let values: Vec<f32> = cells
                .flat_map(|(position, row)| self.frequencies.iter().map(move |frequency| (position as f64 * frequency, row)))
                .map(|(angle, row)| (value(angle, row) * self.factor) as f32)
                .collect();
            Tensor::f32(&[context, rows, half], &values).map(Arc::new).ok_or_else(too_large)
        };
        let sign = |row: usize| if row == 0 { -1.0 } else { 1.0 };
        Ok(Tables { cos: table(1, &|angle, _| angle.cos())?, sin: table(2, &|angle, row| sign(row) * angle.sin())? })
    }
}

/// What elements are multiplied with, by position.
pub struct Tables {
    /// f32 `[context, 1, rotary / 2]`.
    cos: Arc<Tensor>,
    /// f32 `[context, 2, rotary / 2]`; negative for the first half of a head.
    sin: Arc<Tensor>,
}

/// What the elements of some tokens are multiplied with.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// `[sequence, 1, 1, rotary / 2]`.
    cos: Value,
    /// `[sequence, 1, 2, rotary / 2]`.
    sin: Value,
}

impl Builder {
    /// The rotation of tokens of some texts: for each the position of the first and their number.
    pub fn rotation(&mut self, tables: &Tables, texts: &[(Dim, Dim)]) -> Result<Rotation, TypeError> {
        Ok(Rotation { cos: self.turns(&tables.cos, texts)?, sin: self.turns(&tables.sin, texts)? })
    }

    fn turns(&mut self, table: &Arc<Tensor>, texts: &[(Dim, Dim)]) -> Built {
        let table = self.constant(table)?;
        let [_, rows, half] = self.dims(table).try_into().unwrap_or_default();
        let mut parts = Vec::new();
        for (past, sequence) in texts {
            let part = self.slice_along(table, 0, past, sequence)?;
            parts.push(self.reshape(part, &[sequence.clone(), 1.into(), rows.clone(), half.clone()])?);
        }
        self.joined(&parts, 0)
    }

    /// Turns the first elements of each head of `x[sequence, heads, size]`.
    pub fn rotate(&mut self, x: Value, rotation: Rotation, size: usize) -> Built {
        let half = self.dims(rotation.cos).pop().and_then(|half| half.as_constant()).unwrap_or(0) as usize;
        let first = self.slice_last(x, 0, 2 * half)?;
        let turned = self.turn(first, rotation)?;
        if 2 * half == size {
            return Ok(turned);
        }
        let rest = self.slice_last(x, 2 * half, size - 2 * half)?;
        self.concat(&[turned, rest], 2)
    }

    fn turn(&mut self, x: Value, rotation: Rotation) -> Built {
        let flat = self.dims(x);
        let mut dims = flat.clone();
        dims.truncate(2);
        dims.push(dim(2));
        dims.extend(self.dims(rotation.cos).pop());
        let pairs = self.reshape(x, &dims)?;
        let swapped = self.reversed(pairs, 2)?;
        let (along, across) = (self.product(pairs, rotation.cos)?, self.product(swapped, rotation.sin)?);
        let turned = self.sum(along, across)?;
        self.reshape(turned, &flat)
    }
}
