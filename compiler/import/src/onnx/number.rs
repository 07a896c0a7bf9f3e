//! Exact arithmetic on sizes: quotients of symbolic integers.

use lostwax_ir::dim::{Atom, Dim};

const MAX_WEIGHT: usize = 512;
const MAX_COEFFICIENT: i64 = 1 << 52;

/// The number of nodes of the expression tree, nested expressions included.
pub(super) fn weight(dim: &Dim) -> usize {
    dim.terms().iter().map(|(monomial, _)| 1 + monomial.iter().map(atom_weight).sum::<usize>()).sum()
}

fn atom_weight(atom: &Atom) -> usize {
    match atom {
        Atom::Symbol(_) => 1,
        Atom::FloorDiv(pair) | Atom::Min(pair) | Atom::Max(pair) => 1 + weight(&pair.0) + weight(&pair.1),
    }
}

/// The dim, unless it is too large to work with.
fn bounded(dim: Dim) -> Option<Dim> {
    let small = dim.terms().iter().all(|(_, coefficient)| coefficient.unsigned_abs() < MAX_COEFFICIENT as u64);
    (small && weight(&dim) <= MAX_WEIGHT).then_some(dim)
}

fn multiply(a: &Dim, b: &Dim) -> Option<Dim> {
    if let (Some(a), Some(b)) = (a.as_constant(), b.as_constant()) {
        return a.checked_mul(b).map(Dim::constant);
    }
    if a.terms().len() * b.terms().len() > MAX_WEIGHT {
        return None;
    }
    bounded(a.clone() * b.clone())
}

fn combine(a: &Dim, b: &Dim, constants: fn(i64, i64) -> Option<i64>, dims: fn(Dim, Dim) -> Dim) -> Option<Dim> {
    match (a.as_constant(), b.as_constant()) {
        (Some(a), Some(b)) => constants(a, b).map(Dim::constant),
        _ => bounded(dims(a.clone(), b.clone())),
    }
}

/// Whether `a <= b` follows from the ranges of the symbols, also where `a` is a quotient.
pub(super) fn is_at_most(a: &Dim, b: &Dim) -> bool {
    if a.prove_le(b) == Some(true) {
        return true;
    }
    let [(monomial, 1)] = a.terms() else { return false };
    let [Atom::FloorDiv(quotient)] = monomial.as_slice() else { return false };
    let limit = b.clone() * quotient.1.clone() + quotient.1.clone() - 1.into();
    quotient.0.prove_le(&limit) == Some(true)
}

/// A rational number whose parts may be symbolic. The denominator is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    numerator: Dim,
    denominator: Dim,
}

impl From<Dim> for Number {
    fn from(value: Dim) -> Self {
        Self { numerator: value, denominator: 1.into() }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Dim::constant(value).into()
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        i64::from(value).into()
    }
}

fn greatest_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).unwrap_or(1).max(1)
}

impl Number {
    /// `numerator / denominator`, if the denominator is known to be at least 1, or is a negative constant.
    pub(super) fn fraction(numerator: Dim, denominator: Dim) -> Option<Self> {
        if denominator.as_constant().is_some_and(|value| value < 0) {
            return Self::fraction(multiply(&numerator, &(-1).into())?, multiply(&denominator, &(-1).into())?);
        }
        if denominator.bounds().0 < 1 {
            return None;
        }
        let (numerator, denominator) = reduce(numerator, denominator);
        let whole = numerator.floor_div(denominator.clone());
        if multiply(&whole, &denominator).as_ref() == Some(&numerator) {
            return Some(whole.into());
        }
        Some(Self { numerator: bounded(numerator)?, denominator: bounded(denominator)? })
    }

    /// The number, if it is a quotient of small integers: what scales and offsets of sizes are.
    pub(super) fn from_f64(value: f64) -> Option<Self> {
        const LARGEST: f64 = (1i64 << 40) as f64;
        let denominator = (0..=16).map(|shift| 1i64 << shift).find(|d| (value * *d as f64).fract() == 0.0)?;
        let numerator = value * denominator as f64;
        if numerator.abs() > LARGEST { None } else { Self::fraction((numerator as i64).into(), denominator.into()) }
    }

    /// The quotient of small integers that rounds to the f32 `value`.
    pub(super) fn from_scale(value: f32) -> Option<Self> {
        let exact = f64::from(value);
        if let Some(number) = Self::from_f64(exact) {
            return Some(number);
        }
        let denominator = (1..1 << 12).find(|d| ((exact * f64::from(*d)).round() / f64::from(*d)) as f32 == value)?;
        Self::fraction(((exact * f64::from(denominator)).round() as i64).into(), i64::from(denominator).into())
    }

    /// The value, if it is an integer.
    pub(super) fn as_dim(&self) -> Option<&Dim> {
        self.denominator.is(1).then_some(&self.numerator)
    }

    /// The value, if it is a constant integer.
    pub(super) fn as_i64(&self) -> Option<i64> {
        self.as_dim()?.as_constant()
    }

    /// The value, if it is constant.
    pub(super) fn as_f64(&self) -> Option<f64> {
        Some(self.numerator.as_constant()? as f64 / self.denominator.as_constant()? as f64)
    }

    /// Numerator and denominator.
    pub(super) fn parts(&self) -> (&Dim, &Dim) {
        (&self.numerator, &self.denominator)
    }

    fn cross(&self, other: &Self) -> Option<(Dim, Dim, Dim)> {
        let left = multiply(&self.numerator, &other.denominator)?;
        let right = multiply(&other.numerator, &self.denominator)?;
        Some((left, right, multiply(&self.denominator, &other.denominator)?))
    }

    pub(super) fn add(&self, other: &Self) -> Option<Self> {
        let (left, right, denominator) = self.cross(other)?;
        Self::fraction(combine(&left, &right, i64::checked_add, |a, b| a + b)?, denominator)
    }

    pub(super) fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.neg()?)
    }

    pub(super) fn mul(&self, other: &Self) -> Option<Self> {
        let denominator = multiply(&self.denominator, &other.denominator)?;
        Self::fraction(multiply(&self.numerator, &other.numerator)?, denominator)
    }

    /// The exact quotient.
    pub(super) fn div(&self, other: &Self) -> Option<Self> {
        let (numerator, denominator, _) = self.cross(other)?;
        Self::fraction(numerator, denominator)
    }

    /// The quotient truncated toward zero.
    pub(super) fn div_integer(&self, other: &Self) -> Option<Self> {
        if let (Some(a), Some(b)) = (self.as_i64(), other.as_i64()) {
            return a.checked_div(b).map(Into::into);
        }
        self.div(other)?.truncate()
    }

    pub(super) fn neg(&self) -> Option<Self> {
        Some(Self { numerator: multiply(&self.numerator, &(-1).into())?, denominator: self.denominator.clone() })
    }

    pub(super) fn abs(&self) -> Option<Self> {
        let (low, high) = self.numerator.bounds();
        if low >= 0 {
            Some(self.clone())
        } else if high <= 0 {
            self.neg()
        } else {
            None
        }
    }

    pub(super) fn floor(&self) -> Option<Self> {
        bounded(self.numerator.floor_div(self.denominator.clone())).map(Into::into)
    }

    pub(super) fn ceil(&self) -> Option<Self> {
        bounded(self.numerator.ceil_div(self.denominator.clone())).map(Into::into)
    }

    /// Rounded toward zero, as conversion to an integer type does.
    pub(super) fn truncate(&self) -> Option<Self> {
        let (low, high) = self.numerator.bounds();
        if low >= 0 {
            self.floor()
        } else if high <= 0 {
            self.ceil()
        } else {
            self.as_dim().is_some().then(|| self.clone())
        }
    }

    /// The remainder of division with the sign of the divisor, for positive constant divisors.
    pub(super) fn modulo(&self, other: &Self) -> Option<Self> {
        let divisor = other.as_i64().filter(|value| *value > 0)?;
        bounded(self.as_dim()?.modulo(divisor)).map(Into::into)
    }

    pub(super) fn minimum(&self, other: &Self) -> Option<Self> {
        let (left, right, denominator) = self.cross(other)?;
        let smaller = if is_at_most(&left, &right) { left } else { left.minimum(right) };
        Self::fraction(bounded(smaller)?, denominator)
    }

    pub(super) fn maximum(&self, other: &Self) -> Option<Self> {
        let (left, right, denominator) = self.cross(other)?;
        let larger = if is_at_most(&left, &right) { right } else { left.maximum(right) };
        Self::fraction(bounded(larger)?, denominator)
    }

    /// 1 or 0 where equality can be decided.
    pub(super) fn equal(&self, other: &Self) -> Option<Self> {
        let (left, right, _) = self.cross(other)?;
        left.prove_eq(&right).map(Into::into)
    }

    /// 1 or 0 where `self <= other` can be decided.
    pub(super) fn less_equal(&self, other: &Self) -> Option<Self> {
        let (left, right, _) = self.cross(other)?;
        left.prove_le(&right).map(Into::into)
    }

    /// 1 or 0 where `self < other` can be decided.
    pub(super) fn less(&self, other: &Self) -> Option<Self> {
        other.less_equal(self)?.not()
    }

    /// Logical negation of 1 or 0.
    pub(super) fn not(&self) -> Option<Self> {
        self.as_i64().map(|value| (value == 0).into())
    }

    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        Some((self.as_i64()? != 0 && other.as_i64()? != 0).into())
    }

    pub(super) fn or(&self, other: &Self) -> Option<Self> {
        Some((self.as_i64()? != 0 || other.as_i64()? != 0).into())
    }

    pub(super) fn xor(&self, other: &Self) -> Option<Self> {
        Some(((self.as_i64()? != 0) != (other.as_i64()? != 0)).into())
    }
}

/// Divides both by their common constant factor.
fn reduce(numerator: Dim, denominator: Dim) -> (Dim, Dim) {
    let coefficients = numerator.terms().iter().chain(denominator.terms()).map(|(_, coefficient)| *coefficient);
    let factor = coefficients.fold(0, greatest_divisor);
    (numerator.floor_div(factor), denominator.floor_div(factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::dim::Symbol;

    fn h() -> Dim {
        Dim::symbol(&Symbol::dim("h"))
    }

    fn number(value: f64) -> Number {
        Number::from_f64(value).unwrap_or_else(|| 0.into())
    }

    #[test]
    fn halves_and_doubles() {
        let half = Number::from(h()).mul(&number(0.5));
        assert_eq!(half.as_ref().and_then(Number::floor), Some(h().floor_div(2).into()));
        assert_eq!(half.and_then(|half| half.mul(&number(2.0))), Some(h().into()));
        assert_eq!(Number::from(3).div(&number(2.0)).and_then(|x| x.ceil()), Some(2.into()));
        assert_eq!(Number::from(-3).div_integer(&2.into()), Some((-1).into()));
        assert_eq!(Number::from(h() * 64.into()).div(&h().into()), Some(64.into()));
    }

    #[test]
    fn scales_are_small_quotients() {
        assert_eq!(Number::from_scale(0.7), Number::fraction(7.into(), 10.into()));
        assert_eq!(Number::from_scale(f32::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), None);
    }

    #[test]
    fn overflow_is_unknown() {
        assert_eq!(Number::from(i64::MAX).add(&1.into()), None);
        assert_eq!(Number::from(i64::MIN).neg(), None);
        assert_eq!(Number::from(i64::MIN).div_integer(&(-1).into()), None);
        assert_eq!(Number::from(1).div_integer(&0.into()), None);
        let mut x = Some(Number::from(h() + 1.into()));
        for _ in 0..100 {
            x = x.and_then(|x| x.mul(&x));
        }
        assert_eq!(x, None);
    }

    #[test]
    fn quotients_are_at_most_their_numerator() {
        assert!(is_at_most(&h().floor_div(2), &h()));
        assert!(!is_at_most(&h(), &h().floor_div(2)));
    }
}
