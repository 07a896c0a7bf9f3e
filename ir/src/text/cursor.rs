//! Reading a text from front to back.

use super::ParseError;
use crate::dim::{Dim, Symbol, UNBOUNDED, parse_dim};
use crate::types::DType;
use std::collections::BTreeMap;

/// Symbols in scope by name.
pub(super) type Symbols = BTreeMap<String, Symbol>;

/// A position in a text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or("")
    }

    /// An error at the current position.
    pub(super) fn error<T>(&self, problem: impl Into<String>) -> Result<T, ParseError> {
        self.error_at(self.position, problem)
    }

    /// An error at a position.
    pub(super) fn error_at<T>(&self, position: usize, problem: impl Into<String>) -> Result<T, ParseError> {
        let before = self.text.get(..position).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Err(ParseError { line, column, problem: problem.into() })
    }

    /// The position after white space and comments.
    pub(super) fn here(&mut self) -> usize {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.position += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return self.position;
            }
            self.position += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The text from `start` to the current position.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or("")
    }

    /// Whether only white space and comments are left.
    pub(super) fn at_end(&mut self) -> bool {
        self.here() == self.text.len()
    }

    /// Skips `symbol` if it comes next.
    pub(super) fn accept(&mut self, symbol: &str) -> bool {
        self.here();
        let found = self.rest().starts_with(symbol);
        if found {
            self.position += symbol.len();
        }
        found
    }

    /// Skips `symbol`, which must come next.
    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.accept(symbol) { Ok(()) } else { self.error(format!("`{symbol}` expected")) }
    }

    /// Skips the word `word` if it comes next.
    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let start = self.here();
        if self.word() == word {
            return true;
        }
        self.position = start;
        false
    }

    /// Skips the word `word`, which must come next.
    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.accept_word(word) { Ok(()) } else { self.error(format!("`{word}` expected")) }
    }

    /// The next run of letters, digits and `_ % ?`; empty if there is none.
    pub(super) fn word(&mut self) -> &'a str {
        self.here();
        self.run(|c| c.is_alphanumeric() || matches!(c, '_' | '%' | '?'))
    }

    /// A symbol's name, which may contain dots.
    fn name(&mut self) -> &'a str {
        self.here();
        self.run(is_name_char)
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or("")
    }

    /// An integer.
    pub(super) fn integer(&mut self) -> Result<i64, ParseError> {
        let start = self.here();
        let negative = if self.accept("-") { "-" } else { "" };
        let digits = self.run(|c| c.is_ascii_digit());
        format!("{negative}{digits}").parse().or_else(|_| self.error_at(start, "an integer is expected"))
    }

    /// A number from 0 that fits `u32`.
    pub(super) fn count(&mut self) -> Result<u32, ParseError> {
        let start = self.here();
        let value = self.integer()?;
        u32::try_from(value).or_else(|_| self.error_at(start, format!("{value} is out of range")))
    }

    /// The number after a letter: `count_after("b")` reads `b12`.
    pub(super) fn count_after(&mut self, letter: &str) -> Result<u32, ParseError> {
        let start = self.here();
        let number = self.word().strip_prefix(letter).and_then(|digits| digits.parse().ok());
        number.map_or_else(|| self.error_at(start, format!("`{letter}` and a number expected")), Ok)
    }

    /// A floating-point number, `inf`, `nan`, or its bits as `bits(1234)`.
    pub(super) fn float(&mut self) -> Result<f64, ParseError> {
        let start = self.here();
        if self.accept("bits(") {
            let digits = self.run(|c| c.is_ascii_digit());
            let bits = digits.parse().or_else(|_| self.error_at(start, "bits expected"))?;
            self.expect(")")?;
            return Ok(f64::from_bits(bits));
        }
        let digits = self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
        digits.parse().or_else(|_| self.error_at(start, "a number is expected"))
    }

    /// A text in quotes.
    pub(super) fn string(&mut self) -> Result<String, ParseError> {
        self.expect("\"")?;
        let start = self.position;
        let mut result = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.position = start + at + 1;
                    return Ok(result);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => result.push('\n'),
                    Some(c @ ('"' | '\\')) => result.push(c),
                    _ => return self.error_at(start + at, "`\\n`, `\\\"` or `\\\\` expected"),
                },
                c => result.push(c),
            }
        }
        self.error_at(start, "the text is not closed")
    }

    /// The name of an element type.
    pub(super) fn dtype(&mut self) -> Result<DType, ParseError> {
        let start = self.here();
        let name = self.word();
        DType::from_name(name).map_or_else(|| self.error_at(start, format!("unknown element type `{name}`")), Ok)
    }

    /// Items in brackets, separated by commas.
    pub(super) fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.accept(close) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A dim up to the next comma, closing bracket, `==` or end of line that is not in parentheses.
    pub(super) fn dim(&mut self, symbols: &Symbols) -> Result<Dim, ParseError> {
        let start = self.here();
        let (mut depth, mut end) = (0, self.rest().len());
        for (at, c) in self.rest().char_indices() {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                ',' if depth > 0 => {}
                ')' | ']' | '}' | ',' | '=' | '\n' => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let text = self.rest().get(..end).unwrap_or("");
        let resolve = |name: &str| symbols.get(name).cloned();
        match parse_dim(text, &resolve) {
            Ok(dim) => {
                self.position += end;
                Ok(dim)
            }
            Err(error) => self.error_at(start + error.position, error.problem),
        }
    }

    /// A symbol with its range: `h: 1..=1024`, or `h: 1..` without an upper bound.
    pub(super) fn symbol(&mut self) -> Result<Symbol, ParseError> {
        let start = self.here();
        let name = self.name();
        if !is_symbol_name(name) {
            return self.error_at(start, format!("`{name}` is not the name of a symbol"));
        }
        self.expect(":")?;
        let min = self.integer()?;
        self.expect("..")?;
        let max = if self.accept("=") { self.integer()? } else { UNBOUNDED };
        if min > max || min < -UNBOUNDED || max > UNBOUNDED {
            return self.error_at(start, format!("the range of `{name}` is empty or too large"));
        }
        Ok(Symbol::new(name, min, max))
    }
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '%' | '?')
}

/// Whether the text form can hold a symbol of that name.
pub(crate) fn is_symbol_name(name: &str) -> bool {
    let is_word = name.chars().all(is_name_char) && !name.starts_with(|c: char| c.is_ascii_digit());
    is_word && !matches!(name, "" | "floordiv" | "min" | "max")
}
