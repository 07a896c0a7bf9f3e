//! Dims as expressions of a plan.

use crate::error::CompileError;
use lostwax_format::{Expr, ExprError, Exprs};
use lostwax_ir::dim::{Atom, Dim, Symbol};
use std::collections::HashMap;

/// The table of expressions under construction; equal dims share an entry.
#[derive(Default)]
pub(super) struct Expressions {
    table: Exprs,
    known: HashMap<Dim, u32>,
    symbols: HashMap<String, (u32, Symbol)>,
}

/// An entry made of two others.
type Operation = fn(&mut Exprs, u32, u32) -> Result<u32, ExprError>;

fn internal(error: ExprError) -> CompileError {
    CompileError::Internal { problem: error.to_string() }
}

impl Expressions {
    /// Makes a symbol known as the next one of the plan; tells whether it is new. `None` if it is known with another range.
    pub(super) fn declare(&mut self, symbol: &Symbol) -> Option<bool> {
        let next = self.symbols.len() as u32;
        match self.symbols.get(symbol.name()) {
            Some((_, known)) => (known == symbol).then_some(false),
            None => {
                self.symbols.insert(symbol.name().to_string(), (next, symbol.clone()));
                Some(true)
            }
        }
    }

    pub(super) fn constant(&mut self, value: i64) -> u32 {
        self.table.constant(value)
    }

    pub(super) fn add(&mut self, left: u32, right: u32) -> Result<u32, CompileError> {
        self.table.add(left, right).map_err(internal)
    }

    /// The largest of several entries; 0 for none.
    pub(super) fn largest(&mut self, entries: &[u32]) -> Result<u32, CompileError> {
        let Some((first, rest)) = entries.split_first() else { return Ok(self.constant(0)) };
        rest.iter().try_fold(*first, |largest, entry| self.table.maximum(largest, *entry).map_err(internal))
    }

    /// The entry for a dim.
    pub(super) fn dim(&mut self, dim: &Dim) -> Result<u32, CompileError> {
        if let Some(entry) = self.known.get(dim) {
            return Ok(*entry);
        }
        let mut total = None;
        for (monomial, coefficient) in dim.terms() {
            let term = self.term(monomial, *coefficient)?;
            total = Some(match total {
                None => term,
                Some(sum) => self.add(sum, term)?,
            });
        }
        let entry = total.unwrap_or_else(|| self.constant(0));
        self.known.insert(dim.clone(), entry);
        Ok(entry)
    }

    fn term(&mut self, monomial: &[Atom], coefficient: i64) -> Result<u32, CompileError> {
        let mut product = None;
        for atom in monomial {
            let factor = self.atom(atom)?;
            product = Some(match product {
                None => factor,
                Some(left) => self.table.multiply(left, factor).map_err(internal)?,
            });
        }
        let scale = self.constant(coefficient);
        match product {
            None => Ok(scale),
            Some(product) if coefficient == 1 => Ok(product),
            Some(product) => self.table.multiply(product, scale).map_err(internal),
        }
    }

    fn atom(&mut self, atom: &Atom) -> Result<u32, CompileError> {
        let (pair, operation): (_, Operation) = match atom {
            Atom::Symbol(symbol) => {
                let position = self.symbols.get(symbol.name()).map(|(position, _)| *position);
                let position = position
                    .ok_or_else(|| CompileError::Internal { problem: format!("symbol `{}` is not declared", symbol.name()) })?;
                return Ok(self.table.symbol(position));
            }
            Atom::FloorDiv(pair) => (pair, Exprs::floor_divide),
            Atom::Min(pair) => (pair, Exprs::minimum),
            Atom::Max(pair) => (pair, Exprs::maximum),
        };
        let (left, right) = (self.dim(&pair.0)?, self.dim(&pair.1)?);
        operation(&mut self.table, left, right).map_err(internal)
    }

    pub(super) fn finish(self) -> Vec<Expr> {
        self.table.finish()
    }
}
