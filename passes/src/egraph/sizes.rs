//! Sizes that must be equal when a graph runs.

use lostwax_ir::dim::{Atom, Dim};
use std::collections::BTreeMap;

/// Rounds of replacement; chains of equalities may be that long.
const ROUNDS: usize = 16;

/// Equalities between sizes, as replacements that make equal sizes one.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// What replaces a whole size or an atom of one.
    known: BTreeMap<Dim, Dim>,
}

/// Whether a size is an atom, which is replaced wherever it occurs.
fn is_atom(dim: &Dim) -> bool {
    matches!(dim.terms(), [(monomial, 1)] if monomial.len() == 1)
}

fn from_atom(atom: &Atom) -> Dim {
    match atom {
        Atom::Symbol(symbol) => Dim::symbol(symbol),
        Atom::FloorDiv(pair) => pair.0.floor_div(pair.1.clone()),
        Atom::Min(pair) => pair.0.minimum(pair.1.clone()),
        Atom::Max(pair) => pair.0.maximum(pair.1.clone()),
    }
}

impl Sizes {
    /// Makes it known that two sizes are equal.
    pub fn equate(&mut self, left: &Dim, right: &Dim) {
        let (left, right) = (self.normal(left), self.normal(right));
        let (small, large) = if left <= right { (left, right) } else { (right, left) };
        if small == large {
            return;
        }
        if is_atom(&small) && !is_atom(&large) {
            self.known.insert(small, large);
        } else {
            self.known.insert(large, small);
        }
    }

    /// The normal form of a size: the same for equal sizes, as far as the equalities show it.
    pub fn normal(&self, dim: &Dim) -> Dim {
        let mut result = dim.clone();
        for _ in 0..ROUNDS {
            let next = self.replace(&result);
            if next == result {
                break;
            }
            result = next;
        }
        result
    }

    fn replace(&self, dim: &Dim) -> Dim {
        if let Some(other) = self.known.get(dim) {
            return other.clone();
        }
        dim.terms().iter().fold(Dim::default(), |sum, (monomial, coefficient)| {
            let factors = monomial.iter().map(from_atom).map(|atom| self.known.get(&atom).cloned().unwrap_or(atom));
            sum + factors.fold(Dim::constant(*coefficient), |product, factor| product * factor)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::dim::Symbol;

    #[test]
    fn multiples_of_equal_sizes_are_equal() {
        let height = Dim::symbol(&Symbol::dim("h"));
        let at = |scale: i64| (height.clone() + (scale - 1).into()).floor_div(scale);
        let mut sizes = Sizes::default();
        assert_ne!(sizes.normal(&at(4)), sizes.normal(&(at(32) * 8.into())));
        for scale in [4, 8, 16] {
            sizes.equate(&at(scale), &(at(2 * scale) * 2.into()));
        }
        assert_eq!(sizes.normal(&at(4)), sizes.normal(&(at(32) * 8.into())));
        assert_ne!(sizes.normal(&at(4)), sizes.normal(&at(32)));
    }

    #[test]
    fn equality_is_transitive() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Dim::symbol(&Symbol::dim(name)));
        let mut sizes = Sizes::default();
        sizes.equate(&a, &b);
        sizes.equate(&c, &b);
        assert_eq!(sizes.normal(&a), sizes.normal(&c));
    }
}
