//! Symbolic integers: dimensions, loop bounds and memory indices.
//!
//! A [`Dim`] is a polynomial with integer coefficients over atoms: named [`Symbol`]s, floor divisions, minima and maxima.
//! Every constructor brings the value into one canonical form, so structural equality (`==`, `Hash`, `Ord`) is algebraic
//! equality for all polynomials, and a sound approximation of it where divisions, minima and maxima occur.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::sync::Arc;

mod parse;
pub use parse::{DimParseError, parse_dim};

/// The largest magnitude that bounds are tracked to; anything beyond counts as unbounded.
pub const UNBOUNDED: i64 = i64::MAX / 4;

/// A named integer with a declared inclusive range.
///
/// Two symbols are equal when name and range agree. Dimension symbols come from the model or the user; loop variables of
/// kernels are symbols too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<SymbolData>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SymbolData {
    name: String,
    min: i64,
    max: i64,
}

impl Symbol {
    /// A symbol that lies in `min..=max`.
    pub fn new(name: impl Into<String>, min: i64, max: i64) -> Self {
        Self(Arc::new(SymbolData { name: name.into(), min, max }))
    }

    /// A dimension symbol of unknown size, at least 1.
    pub fn dim(name: impl Into<String>) -> Self {
        Self::new(name, 1, UNBOUNDED)
    }

    /// A loop variable that runs over `0..extent`.
    pub fn index(name: impl Into<String>, extent: &Dim) -> Self {
        Self::new(name, 0, (extent.bounds().1 - 1).max(0))
    }

    /// The name as it is printed.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The smallest value, inclusive.
    pub fn min(&self) -> i64 {
        self.0.min
    }

    /// The largest value, inclusive; [`UNBOUNDED`] when not known.
    pub fn max(&self) -> i64 {
        self.0.max
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a monomial is a product of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    /// A named integer.
    Symbol(Symbol),
    /// `floor(numerator / denominator)`; the denominator is at least 1.
    FloorDiv(Arc<(Dim, Dim)>),
    /// The smaller of two.
    Min(Arc<(Dim, Dim)>),
    /// The larger of two.
    Max(Arc<(Dim, Dim)>),
}

/// A product of atoms, sorted; empty for the constant term.
pub type Monomial = Vec<Atom>;

/// A symbolic integer in canonical form; see the module's documentation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Dim {
    terms: Vec<(Monomial, i64)>,
}

/// Values for symbols, by name.
pub type Bindings = BTreeMap<String, i64>;

impl Dim {
    /// The integer `value`.
    pub fn constant(value: i64) -> Self {
        if value == 0 { Self::default() } else { Self { terms: vec![(Vec::new(), value)] } }
    }

    /// The value of a symbol. A symbol whose range holds one value becomes that constant.
    pub fn symbol(symbol: &Symbol) -> Self {
        if symbol.min() == symbol.max() {
            return Self::constant(symbol.min());
        }
        Self::atom(Atom::Symbol(symbol.clone()))
    }

    fn atom(atom: Atom) -> Self {
        Self { terms: vec![(vec![atom], 1)] }
    }

    /// The terms of the polynomial: products of atoms with their nonzero coefficients, sorted.
    pub fn terms(&self) -> &[(Monomial, i64)] {
        &self.terms
    }

    /// The value, if it is a constant.
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.as_slice() {
            [] => Some(0),
            [(monomial, value)] if monomial.is_empty() => Some(*value),
            _ => None,
        }
    }

    /// Whether this is the constant `value`.
    pub fn is(&self, value: i64) -> bool {
        self.as_constant() == Some(value)
    }

    fn from_map(map: BTreeMap<Monomial, i64>) -> Self {
        Self { terms: map.into_iter().filter(|(_, coefficient)| *coefficient != 0).collect() }
    }

    fn constant_term(&self) -> i64 {
        self.terms.first().filter(|(monomial, _)| monomial.is_empty()).map_or(0, |(_, value)| *value)
    }

    /// `floor(self / divisor)`. A divisor that cannot be proven to be at least 1 is taken as `max(divisor, 1)`.
    pub fn floor_div(&self, divisor: impl Into<Dim>) -> Dim {
        let divisor = divisor.into();
        match divisor.as_constant() {
            Some(1) => self.clone(),
            Some(value) if value > 1 => self.floor_div_constant(value),
            Some(_) => self.clone(),
            None => self.floor_div_symbolic(divisor),
        }
    }

    fn floor_div_symbolic(&self, divisor: Dim) -> Dim {
        let divisor = if divisor.bounds().0 >= 1 { divisor } else { divisor.maximum(1) };
        if *self == divisor {
            return 1.into();
        }
        if let Some(quotient) = self.divide_exactly(&divisor) {
            return quotient;
        }
        let remainder_fits = self.bounds().0 >= 0 && (divisor.clone() - self.clone()).bounds().0 >= 1;
        if remainder_fits { 0.into() } else { Self::atom(Atom::FloorDiv(Arc::new((self.clone(), divisor)))) }
    }

    /// Divides by a divisor of one term when each of our terms contains it.
    fn divide_exactly(&self, divisor: &Dim) -> Option<Dim> {
        let [(factors, scale)] = divisor.terms.as_slice() else { return None };
        let mut quotient = BTreeMap::new();
        for (monomial, coefficient) in &self.terms {
            let mut rest = monomial.clone();
            for factor in factors {
                let position = rest.iter().position(|atom| atom == factor)?;
                rest.remove(position);
            }
            if coefficient.wrapping_rem(*scale) != 0 {
                return None;
            }
            quotient.insert(rest, coefficient.wrapping_div(*scale));
        }
        Some(Self::from_map(quotient))
    }

    fn floor_div_constant(&self, divisor: i64) -> Dim {
        let mut quotient = BTreeMap::new();
        let mut rest = BTreeMap::new();
        for (monomial, coefficient) in &self.terms {
            let whole = if monomial.is_empty() || coefficient % divisor == 0 { coefficient.div_euclid(divisor) } else { 0 };
            quotient.insert(monomial.clone(), whole);
            rest.insert(monomial.clone(), coefficient - whole * divisor);
        }
        let (quotient, rest) = (Self::from_map(quotient), Self::from_map(rest));
        let (low, high) = rest.bounds();
        if low >= 0 && high < divisor { quotient } else { quotient + rest.floor_div_reduced(divisor) }
    }

    /// `floor((g * a + b) / (g * c))` is `floor(a / c)` where `0 <= b < g`.
    fn floor_div_reduced(&self, divisor: i64) -> Dim {
        let factor = |(_, coefficient): &(Monomial, i64)| gcd(coefficient.unsigned_abs(), divisor.unsigned_abs()) as i64;
        let largest = self.terms.iter().map(factor).filter(|factor| (2..divisor).contains(factor)).max();
        let Some(factor) = largest else { return self.floor_div_atom(divisor) };
        let (whole, rest): (Vec<_>, Vec<_>) =
            self.terms.iter().cloned().partition(|(_, coefficient)| coefficient.wrapping_rem(factor) == 0);
        let (low, high) = Self { terms: rest }.bounds();
        if low < 0 || high >= factor {
            return self.floor_div_atom(divisor);
        }
        let divided = whole.into_iter().map(|(monomial, coefficient)| (monomial, coefficient.wrapping_div(factor))).collect();
        Self::from_map(divided).floor_div_constant(divisor.wrapping_div(factor))
    }

    /// `floor((floor(a / b) + k) / c)` is `floor((a + k * b) / (b * c))`; anything else becomes an atom.
    fn floor_div_atom(&self, divisor: i64) -> Dim {
        let shift = self.constant_term();
        let head = self.clone() - shift.into();
        if let [(monomial, 1)] = head.terms.as_slice()
            && let [Atom::FloorDiv(inner)] = monomial.as_slice()
            && let Some(inner_divisor) = inner.1.as_constant()
        {
            let numerator = inner.0.clone() + Dim::constant(shift.saturating_mul(inner_divisor));
            return numerator.floor_div(Dim::constant(inner_divisor.saturating_mul(divisor)));
        }
        Self::atom(Atom::FloorDiv(Arc::new((self.clone(), divisor.into()))))
    }

    /// `ceil(self / divisor)`.
    pub fn ceil_div(&self, divisor: impl Into<Dim>) -> Dim {
        let divisor = divisor.into();
        (self.clone() + divisor.clone() - 1.into()).floor_div(divisor)
    }

    /// The remainder of [`Dim::floor_div`].
    pub fn modulo(&self, divisor: impl Into<Dim>) -> Dim {
        let divisor = divisor.into();
        let quotient = self.floor_div(divisor.clone());
        self.clone() - quotient * divisor
    }

    /// The smaller of two.
    pub fn minimum(&self, other: impl Into<Dim>) -> Dim {
        let other = other.into();
        match self.prove_le(&other) {
            Some(true) => self.clone(),
            Some(false) => other,
            None if other.prove_le(self) == Some(true) => other,
            None => Self::atom(Atom::Min(Arc::new(sorted(self.clone(), other)))),
        }
    }

    /// The larger of two.
    pub fn maximum(&self, other: impl Into<Dim>) -> Dim {
        let other = other.into();
        match self.prove_le(&other) {
            Some(true) => other,
            Some(false) => self.clone(),
            None if other.prove_le(self) == Some(true) => self.clone(),
            None => Self::atom(Atom::Max(Arc::new(sorted(self.clone(), other)))),
        }
    }

    /// Inclusive bounds that follow from the declared ranges of the symbols, each part taken for itself, except that remainders
    /// are less than what they are remainders of.
    pub fn bounds(&self) -> (i64, i64) {
        let plain = self.plain_bounds();
        let (mut rest, mut removed) = (None, (0, 0));
        while let Some((less, range)) = rest.as_ref().unwrap_or(self).without_remainder() {
            (rest, removed) = (Some(less), add_ranges(removed, range));
        }
        rest.map_or(plain, |rest| {
            let sharp = add_ranges(rest.plain_bounds(), removed);
            (plain.0.max(sharp.0), plain.1.min(sharp.1))
        })
    }

    /// This less `c * (x - n * floor(x / n))` for a part that has this form, and the range of that part.
    fn without_remainder(&self) -> Option<(Dim, (i64, i64))> {
        self.terms.iter().find_map(|(monomial, coefficient)| {
            let [Atom::FloorDiv(pair)] = monomial.as_slice() else { return None };
            let divisor = pair.1.as_constant().filter(|divisor| *divisor > 0 && coefficient % divisor == 0)?;
            let scale = (coefficient / divisor).saturating_neg();
            let part = (pair.0.clone() - Dim::atom(monomial.first()?.clone()) * divisor.into()) * scale.into();
            let rest = self.clone() - part;
            let range = multiply_ranges((0, divisor - 1), (scale, scale));
            (rest.terms.len() < self.terms.len()).then_some((rest, range))
        })
    }

    fn plain_bounds(&self) -> (i64, i64) {
        self.terms.iter().fold((0, 0), |(low, high), (monomial, coefficient)| {
            let (a, b) = monomial.iter().fold((1, 1), |product, atom| multiply_ranges(product, atom.bounds()));
            let scaled = multiply_ranges((a, b), (*coefficient, *coefficient));
            add_ranges((low, high), scaled)
        })
    }

    /// Whether `self <= other` for all values in range: proven, refuted for all values, or unknown.
    pub fn prove_le(&self, other: &Dim) -> Option<bool> {
        let (low, high) = (other.clone() - self.clone()).bounds();
        if low >= 0 {
            Some(true)
        } else if high < 0 {
            Some(false)
        } else {
            None
        }
    }

    /// Whether `self == other` for all values in range: proven, refuted for all values, or unknown.
    pub fn prove_eq(&self, other: &Dim) -> Option<bool> {
        let (low, high) = (other.clone() - self.clone()).bounds();
        if (low, high) == (0, 0) {
            Some(true)
        } else if low > 0 || high < 0 {
            Some(false)
        } else {
            None
        }
    }

    /// Whether the value is a multiple of `factor` for all values of the symbols. A `false` means unknown.
    pub fn is_multiple_of(&self, factor: i64) -> bool {
        let is_multiple = |(monomial, coefficient): &(Monomial, i64)| {
            coefficient % factor == 0 || monomial.iter().any(|atom| atom.is_multiple_of(factor))
        };
        factor != 0 && self.terms.iter().all(is_multiple)
    }

    /// The value under `bindings`; `None` if a symbol is missing or a divisor is not positive.
    pub fn eval(&self, bindings: &Bindings) -> Option<i64> {
        let mut total = 0i64;
        for (monomial, coefficient) in &self.terms {
            let mut product = *coefficient;
            for atom in monomial {
                product = product.checked_mul(atom.eval(bindings)?)?;
            }
            total = total.checked_add(product)?;
        }
        Some(total)
    }

    /// Replaces symbols by the values that `replace` gives for them.
    pub fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<Dim>) -> Dim {
        let mut total = Dim::default();
        for (monomial, coefficient) in &self.terms {
            let mut product = Dim::constant(*coefficient);
            for atom in monomial {
                product = product * atom.substitute(replace);
            }
            total = total + product;
        }
        total
    }

    /// Replaces one symbol.
    pub fn replace(&self, symbol: &Symbol, value: &Dim) -> Dim {
        self.substitute(&|candidate| (candidate == symbol).then(|| value.clone()))
    }

    /// Replaces the symbols that `bindings` names by constants.
    pub fn bind(&self, bindings: &Bindings) -> Dim {
        self.substitute(&|symbol| bindings.get(symbol.name()).map(|value| Dim::constant(*value)))
    }

    /// Calls `visit` for each symbol, nested ones included, possibly more than once.
    pub fn for_each_symbol(&self, visit: &mut dyn FnMut(&Symbol)) {
        for atom in self.terms.iter().flat_map(|(monomial, _)| monomial) {
            match atom {
                Atom::Symbol(symbol) => visit(symbol),
                Atom::FloorDiv(pair) | Atom::Min(pair) | Atom::Max(pair) => {
                    pair.0.for_each_symbol(visit);
                    pair.1.for_each_symbol(visit);
                }
            }
        }
    }

    /// Whether `symbol` occurs anywhere inside.
    pub fn mentions(&self, symbol: &Symbol) -> bool {
        let mut found = false;
        self.for_each_symbol(&mut |candidate| found |= candidate == symbol);
        found
    }

    /// Splits into `(coefficient, rest)` with `self == coefficient * symbol + rest` and neither part mentioning `symbol`.
    /// `None` when the value is not affine in `symbol`.
    pub fn affine_in(&self, symbol: &Symbol) -> Option<(Dim, Dim)> {
        let wanted = Atom::Symbol(symbol.clone());
        let (mut coefficient, mut rest) = (BTreeMap::new(), BTreeMap::new());
        for (monomial, scale) in &self.terms {
            let mut others = monomial.clone();
            if let Some(position) = others.iter().position(|atom| *atom == wanted) {
                others.remove(position);
                coefficient.insert(others, *scale);
            } else {
                rest.insert(others, *scale);
            }
        }
        let parts = (Self::from_map(coefficient), Self::from_map(rest));
        (!parts.0.mentions(symbol) && !parts.1.mentions(symbol)).then_some(parts)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Atom {
    fn is_multiple_of(&self, factor: i64) -> bool {
        match self {
            Atom::Symbol(_) | Atom::FloorDiv(_) => false,
            Atom::Min(pair) | Atom::Max(pair) => pair.0.is_multiple_of(factor) && pair.1.is_multiple_of(factor),
        }
    }

    fn bounds(&self) -> (i64, i64) {
        match self {
            Atom::Symbol(symbol) => (symbol.min(), symbol.max()),
            Atom::FloorDiv(pair) => divide_ranges(pair.0.bounds(), pair.1.bounds()),
            Atom::Min(pair) => {
                let (a, b) = (pair.0.bounds(), pair.1.bounds());
                (a.0.min(b.0), a.1.min(b.1))
            }
            Atom::Max(pair) => {
                let (a, b) = (pair.0.bounds(), pair.1.bounds());
                (a.0.max(b.0), a.1.max(b.1))
            }
        }
    }

    fn eval(&self, bindings: &Bindings) -> Option<i64> {
        match self {
            Atom::Symbol(symbol) => bindings.get(symbol.name()).copied(),
            Atom::FloorDiv(pair) => {
                let divisor = pair.1.eval(bindings)?;
                if divisor <= 0 { None } else { Some(pair.0.eval(bindings)?.div_euclid(divisor)) }
            }
            Atom::Min(pair) => Some(pair.0.eval(bindings)?.min(pair.1.eval(bindings)?)),
            Atom::Max(pair) => Some(pair.0.eval(bindings)?.max(pair.1.eval(bindings)?)),
        }
    }

    fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<Dim>) -> Dim {
        match self {
            Atom::Symbol(symbol) => replace(symbol).unwrap_or_else(|| Dim::symbol(symbol)),
            Atom::FloorDiv(pair) => pair.0.substitute(replace).floor_div(pair.1.substitute(replace)),
            Atom::Min(pair) => pair.0.substitute(replace).minimum(pair.1.substitute(replace)),
            Atom::Max(pair) => pair.0.substitute(replace).maximum(pair.1.substitute(replace)),
        }
    }
}

fn sorted(a: Dim, b: Dim) -> (Dim, Dim) {
    if a <= b { (a, b) } else { (b, a) }
}

fn clamp(value: i64) -> i64 {
    value.clamp(-UNBOUNDED, UNBOUNDED)
}

fn add_ranges(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    (clamp(a.0.saturating_add(b.0)), clamp(a.1.saturating_add(b.1)))
}

fn multiply_ranges(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    let products = [a.0.saturating_mul(b.0), a.0.saturating_mul(b.1), a.1.saturating_mul(b.0), a.1.saturating_mul(b.1)];
    products.iter().fold((i64::MAX, i64::MIN), |(low, high), p| (low.min(clamp(*p)), high.max(clamp(*p))))
}

fn divide_ranges(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    let (small, large) = (b.0.max(1), b.1.max(1));
    let quotients = [a.0.div_euclid(small), a.0.div_euclid(large), a.1.div_euclid(small), a.1.div_euclid(large)];
    let low = quotients.iter().copied().fold(i64::MAX, i64::min);
    let high = if a.1 >= UNBOUNDED { UNBOUNDED } else { quotients.iter().copied().fold(i64::MIN, i64::max) };
    (if a.0 <= -UNBOUNDED { -UNBOUNDED } else { low }, high)
}

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        Self::constant(value)
    }
}

impl From<&Dim> for Dim {
    fn from(value: &Dim) -> Self {
        value.clone()
    }
}

impl From<&Symbol> for Dim {
    fn from(value: &Symbol) -> Self {
        Self::symbol(value)
    }
}

impl Add for Dim {
    type Output = Dim;
    fn add(self, other: Dim) -> Dim {
        let mut map: BTreeMap<Monomial, i64> = self.terms.into_iter().collect();
        for (monomial, coefficient) in other.terms {
            let entry = map.entry(monomial).or_insert(0);
            *entry = entry.saturating_add(coefficient);
        }
        Dim::from_map(map)
    }
}

impl Neg for Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        self * Dim::constant(-1)
    }
}

impl Sub for Dim {
    type Output = Dim;
    fn sub(self, other: Dim) -> Dim {
        self + -other
    }
}

impl Mul for Dim {
    type Output = Dim;
    fn mul(self, other: Dim) -> Dim {
        let mut map: BTreeMap<Monomial, i64> = BTreeMap::new();
        for (left, a) in &self.terms {
            for (right, b) in &other.terms {
                let mut monomial = left.clone();
                monomial.extend(right.iter().cloned());
                monomial.sort();
                let entry = map.entry(monomial).or_insert(0);
                *entry = entry.saturating_add(a.saturating_mul(*b));
            }
        }
        Dim::from_map(map)
    }
}

/// The product of all dims; 1 for none.
pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Dim {
    dims.into_iter().fold(1.into(), |total, dim| total * dim.clone())
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Symbol(symbol) => f.write_str(symbol.name()),
            Atom::FloorDiv(pair) => write!(f, "floordiv({}, {})", pair.0, pair.1),
            Atom::Min(pair) => write!(f, "min({}, {})", pair.0, pair.1),
            Atom::Max(pair) => write!(f, "max({}, {})", pair.0, pair.1),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        for (position, (monomial, coefficient)) in self.terms.iter().rev().enumerate() {
            write_term(f, position == 0, monomial, *coefficient)?;
        }
        Ok(())
    }
}

fn write_term(f: &mut fmt::Formatter<'_>, first: bool, monomial: &[Atom], coefficient: i64) -> fmt::Result {
    let sign = match (first, coefficient < 0) {
        (true, true) => "-",
        (true, false) => "",
        (false, true) => " - ",
        (false, false) => " + ",
    };
    f.write_str(sign)?;
    let magnitude = coefficient.unsigned_abs();
    let mut separator = "";
    if magnitude != 1 || monomial.is_empty() {
        write!(f, "{magnitude}")?;
        separator = "*";
    }
    for atom in monomial {
        write!(f, "{separator}{atom}")?;
        separator = "*";
    }
    Ok(())
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
