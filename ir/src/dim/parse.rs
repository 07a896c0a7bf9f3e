//! The text form of dims: `2*h + floordiv(w + 1, 2) - 3`.

use super::{Dim, Symbol};
use thiserror::Error;

/// Why a text is not a dim.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot read the dimension `{text}`: {problem} at byte {position}")]
pub struct DimParseError {
    /// The whole text.
    pub text: String,
    /// What is wrong.
    pub problem: &'static str,
    /// Where, in bytes from the start.
    pub position: usize,
}

const DEPTH_LIMIT: u32 = 64;
const FACTOR_LIMIT: usize = 64;
const TERM_LIMIT: usize = 1 << 12;

/// Reads the text form of a dim; `resolve` gives the symbol for a name.
pub fn parse_dim(text: &str, resolve: &dyn Fn(&str) -> Option<Symbol>) -> Result<Dim, DimParseError> {
    let mut parser = Parser { text, position: 0, depth: 0, resolve };
    let dim = parser.sum()?;
    parser.skip_space();
    if parser.position == text.len() { Ok(dim) } else { Err(parser.error("unexpected text")) }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    depth: u32,
    resolve: &'a dyn Fn(&str) -> Option<Symbol>,
}

impl<'a> Parser<'a> {
    fn error(&self, problem: &'static str) -> DimParseError {
        DimParseError { text: self.text.to_string(), problem, position: self.position }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        self.position += self.rest().len() - self.rest().trim_start().len();
    }

    fn accept(&mut self, symbol: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.position += symbol.len_utf8();
        }
        found
    }

    fn sum(&mut self) -> Result<Dim, DimParseError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.error("nesting is too deep"));
        }
        let mut total = if self.accept('-') { -self.term()? } else { self.term()? };
        loop {
            if self.accept('+') {
                total = total + self.term()?;
            } else if self.accept('-') {
                total = total - self.term()?;
            } else {
                self.depth -= 1;
                return Ok(total);
            }
        }
    }

    fn term(&mut self) -> Result<Dim, DimParseError> {
        let mut product = self.factor()?;
        let mut count = 1;
        while self.accept('*') {
            let factor = self.factor()?;
            count += 1;
            if count > FACTOR_LIMIT || product.terms().len() * factor.terms().len() > TERM_LIMIT {
                return Err(self.error("the product is too large"));
            }
            product = product * factor;
        }
        Ok(product)
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or("")
    }

    fn factor(&mut self) -> Result<Dim, DimParseError> {
        self.skip_space();
        if self.accept('(') {
            let inner = self.sum()?;
            return if self.accept(')') { Ok(inner) } else { Err(self.error("`)` expected")) };
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            let digits = self.word(|c| c.is_ascii_digit());
            return digits.parse().map(Dim::constant).map_err(|_| self.error("number is too large"));
        }
        let name = self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '%' | '?'));
        match name {
            "" => Err(self.error("number or name expected")),
            "floordiv" | "min" | "max" => self.call(name),
            _ => (self.resolve)(name).map(|symbol| Dim::symbol(&symbol)).ok_or_else(|| self.error("unknown name")),
        }
    }

    fn call(&mut self, function: &str) -> Result<Dim, DimParseError> {
        if !self.accept('(') {
            return Err(self.error("`(` expected"));
        }
        let left = self.sum()?;
        if !self.accept(',') {
            return Err(self.error("`,` expected"));
        }
        let right = self.sum()?;
        if !self.accept(')') {
            return Err(self.error("`)` expected"));
        }
        Ok(match function {
            "floordiv" => left.floor_div(right),
            "min" => left.minimum(right),
            _ => left.maximum(right),
        })
    }
}
