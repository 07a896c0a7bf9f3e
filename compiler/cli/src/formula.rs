//! Sizes in a plan as formulas for people: polynomials in the named sizes, without the rounding of single terms.

use lostwax_runtime::format::expr::Kind;
use lostwax_runtime::format::{Expr, Operands, Plan, Symbol};
use std::collections::BTreeMap;

/// Formulas with more parts are not simplified.
const MOST_PARTS: usize = 64;

/// Formulas hold where all sizes but outermost ones are at least this: parts that are larger elsewhere only are left out.
pub const LEAST_SIZE: i64 = 16;

/// A size as the largest of several polynomials, of which none is always covered by another.
type Parts = Vec<Polynomial>;

/// Coefficients by product of symbols, by position.
#[derive(Clone, Debug, Default, PartialEq)]
struct Polynomial(BTreeMap<Vec<u32>, f64>);

/// An expression of the plan as one polynomial or as `max(...)` of several, the largest first. Divisions are exact there and
/// not rounded, so the value may differ by the rounding; see also [`LEAST_SIZE`]. `None` where the expression has no such form or too many parts.
pub fn largest_of(plan: &Plan, id: u32) -> Option<String> {
    let mut reader = Reader { least: least_sizes(plan)?, known: Vec::new() };
    for expr in plan.exprs.get(..=id as usize)? {
        let parts = reader.read(expr);
        reader.known.push(parts);
    }
    let mut parts = reader.known.pop()??;
    parts.sort_by(|a, b| b.0.iter().rev().partial_cmp(a.0.iter().rev()).unwrap_or(std::cmp::Ordering::Equal));
    let mut texts: Vec<String> = parts.iter().map(|part| part.text(&plan.symbols)).collect();
    if texts.len() == 1 { texts.pop() } else { Some(format!("max({})", texts.join(", "))) }
}

/// The least sizes that formulas are for, by symbol: those that are the outermost size of an input count from 1. `None` if a
/// symbol may be negative.
fn least_sizes(plan: &Plan) -> Option<Vec<f64>> {
    let outermost = plan.entry_points.iter().flat_map(|entry| &entry.inputs).filter_map(|input| {
        match plan.exprs.get(*input.dims.first()? as usize)?.kind.as_ref()? {
            Kind::Symbol(index) => Some(*index),
            _ => None,
        }
    });
    let outermost: Vec<u32> = outermost.collect();
    let least = (0..).zip(&plan.symbols).map(|(index, symbol)| {
        let least = if outermost.contains(&index) { 1 } else { LEAST_SIZE };
        (symbol.min >= 0).then(|| least.clamp(symbol.min.max(1), symbol.max.max(symbol.min).max(1)) as f64)
    });
    least.collect()
}

struct Reader {
    /// The least value of each symbol.
    least: Vec<f64>,
    /// The parts of all expressions so far.
    known: Vec<Option<Parts>>,
}

impl Reader {
    fn read(&self, expr: &Expr) -> Option<Parts> {
        match expr.kind.as_ref()? {
            Kind::Constant(value) => Some(vec![Polynomial::term(Vec::new(), *value as f64)]),
            Kind::Symbol(index) => Some(vec![Polynomial::term(vec![*index], 1.0)]),
            Kind::Add(pair) => self.sums(pair),
            Kind::Multiply(pair) => self.single(pair).and_then(|(left, right)| Some(vec![left.times(right)?])),
            Kind::FloorDivide(pair) => self.single(pair).and_then(|(left, right)| Some(vec![left.over(right)?])),
            Kind::Maximum(pair) => {
                self.both(pair).and_then(|(left, right)| self.uncovered(left.iter().chain(right).cloned().collect()))
            }
            Kind::Minimum(_) => None,
        }
    }

    fn both(&self, pair: &Operands) -> Option<(&Parts, &Parts)> {
        let operand = |id: u32| self.known.get(id as usize)?.as_ref();
        Some((operand(pair.left)?, operand(pair.right)?))
    }

    /// Sums of maxima are maxima of all sums.
    fn sums(&self, pair: &Operands) -> Option<Parts> {
        let (left, right) = self.both(pair)?;
        self.uncovered(left.iter().flat_map(|a| right.iter().map(move |b| a.plus(b))).collect())
    }

    /// The operands where neither is a maximum.
    fn single(&self, pair: &Operands) -> Option<(&Polynomial, &Polynomial)> {
        match self.both(pair)? {
            (left, right) if left.len() == 1 && right.len() == 1 => left.first().zip(right.first()),
            _ => None,
        }
    }

    /// The parts that no other part covers; of equal ones the first.
    fn uncovered(&self, parts: Parts) -> Option<Parts> {
        let mut kept: Parts = Vec::new();
        for part in parts {
            if kept.iter().any(|other| other.covers(&part, &self.least)) {
                continue;
            }
            kept.retain(|other| !part.covers(other, &self.least));
            kept.push(part);
        }
        (1..=MOST_PARTS).contains(&kept.len()).then_some(kept)
    }
}

impl Polynomial {
    fn term(symbols: Vec<u32>, coefficient: f64) -> Self {
        Self(BTreeMap::from([(symbols, coefficient)]).into_iter().filter(|(_, coefficient)| *coefficient != 0.0).collect())
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (symbols, coefficient) in &other.0 {
            *sum.0.entry(symbols.clone()).or_insert(0.0) += coefficient;
        }
        sum.0.retain(|_, coefficient| *coefficient != 0.0);
        sum
    }

    fn times(&self, other: &Self) -> Option<Self> {
        let terms = self.0.iter().flat_map(|a| other.0.iter().map(move |b| (a, b)));
        let product = terms.fold(Self::default(), |sum, ((a, x), (b, y))| {
            let mut symbols = [a.as_slice(), b.as_slice()].concat();
            symbols.sort_unstable();
            sum.plus(&Self::term(symbols, x * y))
        });
        (product.0.len() <= MOST_PARTS).then_some(product)
    }

    /// The quotient by a constant; what is added for rounding is left out.
    fn over(&self, divisor: &Self) -> Option<Self> {
        let divisor = divisor.constant().filter(|divisor| *divisor >= 1.0 && divisor.fract() == 0.0)?;
        let rounding = self.0.get(&[][..]).copied().filter(|added| self.0.len() > 1 && added.abs() < divisor).unwrap_or(0.0);
        let rest = self.plus(&Self::term(Vec::new(), -rounding));
        Some(Self(rest.0.into_iter().map(|(symbols, coefficient)| (symbols, coefficient / divisor)).collect()))
    }

    fn constant(&self) -> Option<f64> {
        match self.0.iter().next() {
            None => Some(0.0),
            Some((symbols, coefficient)) => (symbols.is_empty() && self.0.len() == 1).then_some(*coefficient),
        }
    }

    /// Whether this is at least as large where all symbols have their least values or more: what the other has more of a product
    /// of symbols is made up for by what this has more of products that contain it.
    fn covers(&self, other: &Self, least: &[f64]) -> bool {
        let mut spare = self.plus(&Self(other.0.iter().map(|(symbols, c)| (symbols.clone(), -c)).collect()));
        let lacking: Vec<(Vec<u32>, f64)> = spare.0.extract_if(.., |_, c| *c < 0.0).collect();
        lacking.into_iter().rev().all(|(symbols, lack)| {
            let mut lack = -lack;
            for (larger, surplus) in spare.0.iter_mut().filter(|(larger, _)| contains(larger, &symbols)) {
                let worth = value(larger, least) / value(&symbols, least);
                let used = lack.min(*surplus * worth);
                (lack, *surplus) = (lack - used, *surplus - used / worth);
            }
            lack <= 0.0
        })
    }

    fn text(&self, symbols: &[Symbol]) -> String {
        let mut terms: Vec<(&Vec<u32>, &f64)> = self.0.iter().collect();
        terms.sort_by_key(|(symbols, _)| std::cmp::Reverse(symbols.len()));
        let texts = terms.into_iter().map(|(product, coefficient)| {
            let names = product.iter().map(|index| symbols.get(*index as usize).map_or("?", |symbol| &symbol.name));
            let factor = (*coefficient != 1.0 || product.is_empty()).then(|| number(*coefficient));
            factor.into_iter().chain(names.map(str::to_string)).collect::<Vec<_>>().join("*")
        });
        let text = texts.collect::<Vec<_>>().join(" + ").replace("+ -", "- ");
        if text.is_empty() { "0".to_string() } else { text }
    }
}

/// A product of symbols at their least values.
fn value(product: &[u32], least: &[f64]) -> f64 {
    product.iter().filter_map(|index| least.get(*index as usize)).product()
}

/// At most two decimals, and two digits of what is too small for them.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Whether all symbols of a product are in another. Both are sorted.
fn contains(larger: &[u32], smaller: &[u32]) -> bool {
    let mut rest = larger.iter();
    smaller.iter().all(|symbol| rest.any(|other| other == symbol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_runtime::format::Exprs;

    fn formula(build: impl FnOnce(&mut Exprs, u32, u32) -> u32) -> Option<String> {
        let mut exprs = Exprs::default();
        let (h, w) = (exprs.symbol(0), exprs.symbol(1));
        let id = build(&mut exprs, h, w);
        let symbols = ["h", "w"].map(|name| Symbol { name: name.to_string(), min: 1, max: 1 << 20 }).to_vec();
        largest_of(&Plan { exprs: exprs.finish(), symbols, ..Plan::default() }, id)
    }

    #[test]
    fn what_is_covered_disappears() {
        let text = formula(|exprs, h, _| {
            let (four, big) = (exprs.constant(4), exprs.constant(100));
            let scaled = exprs.multiply(h, four).unwrap();
            let either = exprs.maximum(h, scaled).unwrap();
            let either = exprs.maximum(either, big).unwrap();
            exprs.add(either, h).unwrap()
        });
        assert_eq!(text.as_deref(), Some("max(5*h, h + 100)"));
        assert_eq!(number(0.001), "1.0e-3");
    }

    #[test]
    fn larger_products_cover_smaller_ones() {
        let text = formula(|exprs, h, w| {
            let (three, two) = (exprs.constant(3), exprs.constant(2));
            let area = exprs.multiply(h, w).unwrap();
            let large = exprs.multiply(area, three).unwrap();
            let small = exprs.multiply(w, two).unwrap();
            let small = exprs.add(small, h).unwrap();
            exprs.maximum(small, large).unwrap()
        });
        assert_eq!(text.as_deref(), Some("3*h*w"));
    }

    #[test]
    fn rounding_is_left_out() {
        let text = formula(|exprs, h, _| {
            let (up, align) = (exprs.constant(63), exprs.constant(64));
            let size = exprs.add(h, up).unwrap();
            let blocks = exprs.floor_divide(size, align).unwrap();
            let aligned = exprs.multiply(blocks, align).unwrap();
            let half = exprs.constant(2);
            let half = exprs.floor_divide(h, half).unwrap();
            exprs.add(aligned, half).unwrap()
        });
        assert_eq!(text.as_deref(), Some("1.5*h"));
    }

    #[test]
    fn products_of_maxima_have_no_formula() {
        let text = formula(|exprs, h, w| {
            let either = exprs.maximum(h, w).unwrap();
            exprs.multiply(either, h).unwrap()
        });
        assert_eq!(text, None);
    }
}
