//! Equalities between dims that hold at run time, so that equal sizes are written in one way.

use super::number::weight;
use lostwax_ir::dim::{Dim, Monomial};

const MAX_STEPS: usize = 64;

/// `complex`, which is `factor * monomial`, is to be written as `simple`.
struct Rule {
    monomial: Monomial,
    factor: i64,
    complex: Dim,
    simple: Dim,
}

/// Rewrite rules that follow from what is known to be equal.
#[derive(Default)]
pub(super) struct Equalities {
    rules: Vec<Rule>,
}

impl Equalities {
    /// Notes that two dims are equal. Gives the simpler one.
    pub(super) fn assume(&mut self, a: &Dim, b: &Dim) -> Dim {
        let (simple, other) = if complexity(a) <= complexity(b) { (a, b) } else { (b, a) };
        if let [(monomial, factor)] = other.terms()
            && !monomial.is_empty()
            && *factor > 0
        {
            let (monomial, factor) = (monomial.clone(), *factor);
            self.rules.push(Rule { monomial, factor, complex: other.clone(), simple: simple.clone() });
        }
        simple.clone()
    }

    /// The dim in the simplest form that is known.
    pub(super) fn simplify(&self, dim: &Dim) -> Dim {
        let mut dim = dim.clone();
        for _ in 0..MAX_STEPS {
            match self.rules.iter().find_map(|rule| rule.apply(&dim)) {
                Some(simpler) => dim = simpler,
                None => break,
            }
        }
        dim
    }
}

impl Rule {
    fn apply(&self, dim: &Dim) -> Option<Dim> {
        let (_, coefficient) = dim.terms().iter().find(|(monomial, _)| *monomial == self.monomial)?;
        let times = coefficient / self.factor;
        if times == 0 || coefficient % self.factor != 0 {
            return None;
        }
        let replaced = dim.clone() - self.complex.clone() * times.into() + self.simple.clone() * times.into();
        (complexity(&replaced) < complexity(dim)).then_some(replaced)
    }
}

fn complexity(dim: &Dim) -> (bool, usize, usize, u128) {
    let coefficients = dim.terms().iter().map(|(_, coefficient)| u128::from(coefficient.unsigned_abs())).sum();
    (dim.as_constant().is_none(), dim.terms().len(), weight(dim), coefficients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::dim::Symbol;

    #[test]
    fn sizes_after_several_halvings_agree() {
        let h = Dim::symbol(&Symbol::dim("h"));
        let [quarter, eighth, sixteenth] = [4, 8, 16].map(|stride| h.ceil_div(stride));
        let mut equalities = Equalities::default();
        assert_eq!(equalities.assume(&(sixteenth.clone() * 2.into()), &eighth), eighth);
        assert_eq!(equalities.assume(&quarter, &(eighth.clone() * 2.into())), quarter);
        assert_eq!(equalities.simplify(&(sixteenth * 4.into())), quarter);
        assert_eq!(equalities.simplify(&h), h);
    }
}
