//! Integer expressions: 32-bit arithmetic, each part computed in the outermost block that knows its symbols.

use crate::builder::Value;
use crate::fault::{Emit, Fault};
use crate::kernel::{Binding, Emitter};
use lostwax_ir::dim::{Atom, Dim, Monomial};
use lostwax_ir::kernel::Cond;
use naga::{BinaryOperator, Expression, MathFunction, ScalarKind};

impl Emitter<'_> {
    /// Replaces the variables of expanded loops by what they stand for.
    pub(crate) fn resolve(&self, dim: &Dim) -> Dim {
        dim.substitute(&|symbol| match self.symbols.get(symbol) {
            Some(Binding::Constant(value)) => Some(Dim::constant(*value)),
            _ => None,
        })
    }

    /// Whether the value may differ between lanes.
    pub(crate) fn varies(&self, dim: &Dim) -> bool {
        let mut found = false;
        dim.for_each_symbol(&mut |symbol| {
            found |= matches!(self.symbols.get(symbol), Some(Binding::Lane | Binding::PerLane(_)));
        });
        found
    }

    /// What a dim is in one lane.
    pub(crate) fn in_lane(&self, dim: &Dim, lane: usize) -> Dim {
        dim.substitute(&|symbol| match self.symbols.get(symbol)? {
            Binding::Constant(value) => Some(Dim::constant(*value)),
            Binding::Lane => Some(Dim::constant(lane as i64)),
            Binding::PerLane(symbols) => symbols.get(lane).map(Dim::symbol),
            Binding::Value(..) => None,
        })
    }

    /// The value of a dim in one lane.
    pub(crate) fn integer(&mut self, dim: &Dim, lane: usize) -> Emit<Value> {
        let dim = self.in_lane(dim, lane);
        self.resolved(&dim)
    }

    /// The value of a dim over symbols that have one value each.
    fn resolved(&mut self, dim: &Dim) -> Emit<Value> {
        if let Some(value) = dim.as_constant() {
            return self.constant_integer(value);
        }
        let level = self.level_of(dim)?;
        if let Some(known) = self.sums.get(level).and_then(|sums| sums.get(dim)) {
            return Ok(*known);
        }
        let value = self.sum(dim, level)?;
        if let Some(sums) = self.sums.get_mut(level) {
            sums.insert(dim.clone(), value);
        }
        Ok(value)
    }

    pub(crate) fn constant_integer(&mut self, value: i64) -> Emit<Value> {
        match i32::try_from(value) {
            Ok(value) => Ok(self.builder.int(value)),
            Err(_) => Fault::unsupported(format!("the index {value}; indices have 32 bits")),
        }
    }

    /// The sum of the terms that blocks outside of `level` can compute, and then of the others.
    fn sum(&mut self, dim: &Dim, level: usize) -> Emit<Value> {
        let (outer, inner) = self.split(dim, level)?;
        let mut total = if outer.is(0) { None } else { Some(self.resolved(&outer)?) };
        for (monomial, coefficient) in inner.terms() {
            total = Some(self.add_term(total, monomial, *coefficient, level)?);
        }
        Ok(total.unwrap_or_else(|| self.builder.int(0)))
    }

    fn split(&self, dim: &Dim, level: usize) -> Emit<(Dim, Dim)> {
        let (mut outer, mut inner) = (Dim::default(), Dim::default());
        for (monomial, coefficient) in dim.terms() {
            let term = monomial_dim(monomial) * Dim::constant(*coefficient);
            let target = if self.level_of_monomial(monomial)? < level { &mut outer } else { &mut inner };
            *target = std::mem::take(target) + term;
        }
        Ok((outer, inner))
    }

    fn add_term(&mut self, total: Option<Value>, monomial: &Monomial, coefficient: i64, level: usize) -> Emit<Value> {
        let subtracts = coefficient < 0 && total.is_some();
        let scale = if subtracts { coefficient.saturating_neg() } else { coefficient };
        let (mut outer, mut product) = (Dim::constant(scale), None);
        for atom in monomial {
            if self.level_of_atom(atom)? < level {
                outer = outer * atom_dim(atom);
                continue;
            }
            let factor = self.atom(atom, level)?;
            product = Some(match product {
                Some(product) => self.builder.binary_at(level, BinaryOperator::Multiply, product, factor),
                None => factor,
            });
        }
        let term = match product {
            Some(product) if outer.is(1) => product,
            Some(product) => {
                let outer = self.resolved(&outer)?;
                self.builder.binary_at(level, BinaryOperator::Multiply, product, outer)
            }
            None => self.resolved(&outer)?,
        };
        let op = if subtracts { BinaryOperator::Subtract } else { BinaryOperator::Add };
        Ok(total.map_or(term, |total| self.builder.binary_at(level, op, total, term)))
    }

    fn atom(&mut self, atom: &Atom, level: usize) -> Emit<Value> {
        match atom {
            Atom::Symbol(symbol) => match self.symbols.get(symbol) {
                Some(Binding::Value(_, value)) => Ok(*value),
                _ => Fault::invalid(format!("`{symbol:?}` has no single value here")),
            },
            Atom::FloorDiv(pair) => self.floor_div(&pair.0, &pair.1, level),
            Atom::Min(pair) => self.smaller_or_larger(MathFunction::Min, pair, level),
            Atom::Max(pair) => self.smaller_or_larger(MathFunction::Max, pair, level),
        }
    }

    fn smaller_or_larger(&mut self, function: MathFunction, pair: &(Dim, Dim), level: usize) -> Emit<Value> {
        let operands = [self.resolved(&pair.0)?, self.resolved(&pair.1)?];
        Ok(self.builder.math_at(level, function, &operands))
    }

    /// A shift rounds down whatever the sign; what is not negative may be divided without one.
    fn floor_div(&mut self, numerator: &Dim, divisor: &Dim, level: usize) -> Emit<Value> {
        let a = self.resolved(numerator)?;
        match divisor.as_constant().and_then(|divisor| u32::try_from(divisor).ok()) {
            Some(divisor) if divisor.is_power_of_two() => {
                let distance = self.builder.uint(divisor.trailing_zeros());
                Ok(self.builder.binary_at(level, BinaryOperator::ShiftRight, a, distance))
            }
            Some(divisor) if divisor > 0 && numerator.bounds().0 >= 0 => {
                let divisor = self.builder.uint(divisor);
                let a = self.builder.value_at(level, Expression::As { expr: a, kind: ScalarKind::Uint, convert: Some(4) });
                let expr = self.builder.binary_at(level, BinaryOperator::Divide, a, divisor);
                Ok(self.builder.value_at(level, Expression::As { expr, kind: ScalarKind::Sint, convert: Some(4) }))
            }
            _ => {
                let b = self.resolved(divisor)?;
                self.builder.call_at(level, "floor_div", &[a, b])
            }
        }
    }

    fn level_of(&self, dim: &Dim) -> Emit<usize> {
        dim.terms().iter().try_fold(0, |level, (monomial, _)| Ok(level.max(self.level_of_monomial(monomial)?)))
    }

    fn level_of_monomial(&self, monomial: &Monomial) -> Emit<usize> {
        monomial.iter().try_fold(0, |level, atom| Ok(level.max(self.level_of_atom(atom)?)))
    }

    fn level_of_atom(&self, atom: &Atom) -> Emit<usize> {
        match atom {
            Atom::Symbol(symbol) => match self.symbols.get(symbol) {
                Some(Binding::Value(level, _)) => Ok(*level),
                Some(_) => Fault::invalid(format!("`{symbol:?}` depends on the lane where that is not allowed")),
                None => Fault::invalid(format!("`{symbol:?}` is not in scope")),
            },
            Atom::FloorDiv(pair) | Atom::Min(pair) | Atom::Max(pair) => Ok(self.level_of(&pair.0)?.max(self.level_of(&pair.1)?)),
        }
    }

    /// Whether a condition holds in one lane; `None` if it always does.
    pub(crate) fn condition(&mut self, cond: &Cond, lane: usize) -> Emit<Option<Value>> {
        let mut all = None;
        for part in &cond.0 {
            let value = self.integer(part, lane)?;
            let zero = self.builder.int(0);
            let holds = self.builder.binary(BinaryOperator::GreaterEqual, value, zero);
            all = self.both(all, Some(holds));
        }
        Ok(all)
    }

    /// Whether both hold; `None` stands for what always does.
    pub(crate) fn both(&mut self, a: Option<Value>, b: Option<Value>) -> Option<Value> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.builder.binary(BinaryOperator::And, a, b)),
            (a, b) => a.or(b),
        }
    }
}

fn monomial_dim(monomial: &Monomial) -> Dim {
    monomial.iter().fold(1.into(), |product, atom| product * atom_dim(atom))
}

fn atom_dim(atom: &Atom) -> Dim {
    match atom {
        Atom::Symbol(symbol) => Dim::symbol(symbol),
        Atom::FloorDiv(pair) => pair.0.floor_div(pair.1.clone()),
        Atom::Min(pair) => pair.0.minimum(pair.1.clone()),
        Atom::Max(pair) => pair.0.maximum(pair.1.clone()),
    }
}
