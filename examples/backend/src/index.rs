//! Dims and conditions as expressions of C.

use crate::writer::{Fault, Symbols, Writer};
use lostwax_ir::dim::{Atom, Dim, Monomial};
use lostwax_ir::kernel::{Cond, Place};

impl Writer<'_> {
    /// An element of a buffer, a local or a row.
    pub(crate) fn element(&self, place: &Place) -> Result<String, Fault> {
        Ok(match place {
            Place::Buffer(buffer, index) => format!("b{}[{}]", buffer.0, self.dim(index)?),
            Place::Local(local, index) => format!("l{}[{}]", local.0, self.dim(index)?),
            Place::Row(row, at, index) => format!("r{}[{}][{}]", row.0, self.dim(at)?, self.dim(index)?),
        })
    }

    pub(crate) fn dim(&self, value: &Dim) -> Result<String, Fault> {
        dim(&self.symbols, value)
    }
}

// region: dim
/// A dim as an `int64_t`, in parentheses if it is more than a name or number.
pub(crate) fn dim(symbols: &Symbols, value: &Dim) -> Result<String, Fault> {
    let terms = value.terms().iter().map(|(factors, coefficient)| term(symbols, factors, *coefficient));
    let terms = terms.collect::<Result<Vec<_>, _>>()?;
    match terms.as_slice() {
        [] => Ok("0".into()),
        [term] if !term.contains(' ') => Ok(term.clone()),
        terms => Ok(format!("({})", terms.join(" + "))),
    }
}

fn term(symbols: &Symbols, factors: &Monomial, coefficient: i64) -> Result<String, Fault> {
    let mut parts = factors.iter().map(|factor| atom(symbols, factor)).collect::<Result<Vec<_>, _>>()?;
    if coefficient != 1 || parts.is_empty() {
        parts.insert(0, integer(coefficient));
    }
    Ok(parts.join(" * "))
}

fn atom(symbols: &Symbols, atom: &Atom) -> Result<String, Fault> {
    let call = |name: &str, pair: &(Dim, Dim)| Ok(format!("{name}({}, {})", dim(symbols, &pair.0)?, dim(symbols, &pair.1)?));
    match atom {
        Atom::Symbol(symbol) => match symbols.get(symbol) {
            Some(name) => Ok(name.clone()),
            None => Err(Fault::Invalid(format!("the symbol `{}` is not in scope", symbol.name()))),
        },
        // C rounds towards zero, dims round down; it is the same where nothing is negative, and divisors never are.
        Atom::FloorDiv(pair) if pair.0.bounds().0 >= 0 => {
            Ok(format!("({} / {})", dim(symbols, &pair.0)?, dim(symbols, &pair.1)?))
        }
        Atom::FloorDiv(pair) => call("floor_div", pair),
        Atom::Min(pair) => call("min_i64", pair),
        Atom::Max(pair) => call("max_i64", pair),
    }
}
// endregion: dim

/// A condition; 1 if it always holds.
pub(crate) fn cond(symbols: &Symbols, cond: &Cond) -> Result<String, Fault> {
    let parts = cond.0.iter().map(|part| Ok(format!("{} >= 0", dim(symbols, part)?)));
    let parts = parts.collect::<Result<Vec<_>, Fault>>()?;
    Ok(if parts.is_empty() { "1".into() } else { format!("({})", parts.join(" && ")) })
}

/// An integer as a literal of type `int` or wider.
pub(crate) fn integer(value: i64) -> String {
    match value {
        i64::MIN => "INT64_MIN".into(),
        0.. => value.to_string(),
        _ => format!("({value})"),
    }
}
