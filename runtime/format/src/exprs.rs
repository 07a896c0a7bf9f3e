use crate::messages::{Expr, Operands, expr::Kind};
use std::collections::HashMap;
use thiserror::Error;

/// Builds [`crate::Plan::exprs`]. Equal expressions share an entry, and each method returns the position of its entry.
#[derive(Clone, Debug, Default)]
pub struct Exprs {
    table: Vec<Expr>,
    positions: HashMap<Key, u32>,
}

type Key = (u8, i64, i64);

/// An operand does not exist, or there are too many expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expression {0} does not exist")]
pub struct ExprError(pub u32);

impl Exprs {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// An integer.
    pub fn constant(&mut self, value: i64) -> u32 {
        self.add_entry((0, value, 0), Kind::Constant(value))
    }

    /// The symbol at position `index` of [`crate::Plan::symbols`].
    pub fn symbol(&mut self, index: u32) -> u32 {
        self.add_entry((1, index.into(), 0), Kind::Symbol(index))
    }

    /// The sum of two entries.
    ///
    /// # Errors
    /// [`ExprError`] if an operand does not exist; the same holds for the other operations.
    pub fn add(&mut self, left: u32, right: u32) -> Result<u32, ExprError> {
        self.operation(2, left, right, Kind::Add)
    }

    /// The product of two entries.
    ///
    /// # Errors
    /// As [`Exprs::add`].
    pub fn multiply(&mut self, left: u32, right: u32) -> Result<u32, ExprError> {
        self.operation(3, left, right, Kind::Multiply)
    }

    /// The quotient of two entries, rounded down. Evaluation fails where the divisor is less than 1.
    ///
    /// # Errors
    /// As [`Exprs::add`].
    pub fn floor_divide(&mut self, left: u32, right: u32) -> Result<u32, ExprError> {
        self.operation(4, left, right, Kind::FloorDivide)
    }

    /// The smaller of two entries.
    ///
    /// # Errors
    /// As [`Exprs::add`].
    pub fn minimum(&mut self, left: u32, right: u32) -> Result<u32, ExprError> {
        self.operation(5, left, right, Kind::Minimum)
    }

    /// The larger of two entries.
    ///
    /// # Errors
    /// As [`Exprs::add`].
    pub fn maximum(&mut self, left: u32, right: u32) -> Result<u32, ExprError> {
        self.operation(6, left, right, Kind::Maximum)
    }

    /// The table.
    pub fn finish(self) -> Vec<Expr> {
        self.table
    }

    fn operation(&mut self, tag: u8, left: u32, right: u32, kind: fn(Operands) -> Kind) -> Result<u32, ExprError> {
        for operand in [left, right] {
            if operand as usize >= self.table.len() {
                return Err(ExprError(operand));
            }
        }
        Ok(self.add_entry((tag, left.into(), right.into()), kind(Operands { left, right })))
    }

    fn add_entry(&mut self, key: Key, kind: Kind) -> u32 {
        let next = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let position = *self.positions.entry(key).or_insert(next);
        if position == next {
            self.table.push(Expr { kind: Some(kind) });
        }
        position
    }
}
