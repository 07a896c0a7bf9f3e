//! Dims compiled for repeated evaluation.

use crate::dim::{Atom, Bindings, Dim, Symbol};
use crate::kernel::Cond;
use std::collections::BTreeMap;

/// The numbers under which the values of symbols are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    numbers: BTreeMap<String, usize>,
}

impl Slots {
    /// The number of a symbol, which is made known if it is not.
    pub(super) fn declare(&mut self, symbol: &Symbol) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(symbol.name().to_string()).or_insert(next)
    }

    /// How many symbols are known.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The compiled form of a dim over known symbols; others are replaced by the values of `bindings`. `None` if a symbol
    /// has neither.
    pub(super) fn compile(&self, dim: &Dim, bindings: &Bindings) -> Option<Index> {
        let terms = dim.terms().iter().map(|(monomial, coefficient)| {
            let factors = monomial.iter().map(|atom| self.factor(atom, bindings)).collect::<Option<_>>()?;
            Some((*coefficient, factors))
        });
        Some(Index { terms: terms.collect::<Option<_>>()? })
    }

    fn factor(&self, atom: &Atom, bindings: &Bindings) -> Option<Factor> {
        let pair = |pair: &(Dim, Dim)| Some(Box::new((self.compile(&pair.0, bindings)?, self.compile(&pair.1, bindings)?)));
        Some(match atom {
            Atom::Symbol(symbol) => match self.numbers.get(symbol.name()) {
                Some(slot) => Factor::Slot(*slot),
                None => Factor::Constant(*bindings.get(symbol.name())?),
            },
            Atom::FloorDiv(dims) => Factor::FloorDiv(pair(dims)?),
            Atom::Min(dims) => Factor::Min(pair(dims)?),
            Atom::Max(dims) => Factor::Max(pair(dims)?),
        })
    }

    /// The compiled form of a condition.
    pub(super) fn compile_cond(&self, cond: &Cond, bindings: &Bindings) -> Option<Vec<Index>> {
        cond.0.iter().map(|part| self.compile(part, bindings)).collect()
    }

    /// The compiled form of several dims.
    pub(super) fn compile_all(&self, dims: &[Dim], bindings: &Bindings) -> Option<Vec<Index>> {
        dims.iter().map(|dim| self.compile(dim, bindings)).collect()
    }
}

/// A compiled dim: a sum of products.
#[derive(Clone, Debug)]
pub(super) struct Index {
    terms: Vec<(i64, Vec<Factor>)>,
}

#[derive(Clone, Debug)]
enum Factor {
    Constant(i64),
    Slot(usize),
    FloorDiv(Box<(Index, Index)>),
    Min(Box<(Index, Index)>),
    Max(Box<(Index, Index)>),
}

impl Index {
    /// The value for the given values of symbols.
    pub(super) fn eval(&self, slots: &impl Fn(usize) -> i64) -> i64 {
        self.terms.iter().fold(0i64, |total, (coefficient, factors)| {
            let product = factors.iter().fold(*coefficient, |product, factor| product.wrapping_mul(factor.eval(slots)));
            total.wrapping_add(product)
        })
    }
}

impl Factor {
    fn eval(&self, slots: &impl Fn(usize) -> i64) -> i64 {
        match self {
            Self::Constant(value) => *value,
            Self::Slot(slot) => slots(*slot),
            Self::FloorDiv(pair) => pair.0.eval(slots).div_euclid(pair.1.eval(slots).max(1)),
            Self::Min(pair) => pair.0.eval(slots).min(pair.1.eval(slots)),
            Self::Max(pair) => pair.0.eval(slots).max(pair.1.eval(slots)),
        }
    }
}

/// Whether a compiled condition holds.
pub(super) fn holds(cond: &[Index], slots: &impl Fn(usize) -> i64) -> bool {
    cond.iter().all(|part| part.eval(slots) >= 0)
}

/// The row-major position of coordinates; `None` if one is outside of the shape.
pub(super) fn flat(shape: &[usize], coords: &[Index], slots: &impl Fn(usize) -> i64) -> Option<usize> {
    if shape.len() != coords.len() {
        return None;
    }
    shape.iter().zip(coords).try_fold(0, |flat, (size, coord)| {
        let at = usize::try_from(coord.eval(slots)).ok().filter(|at| at < size)?;
        Some(flat * size + at)
    })
}
