//! Shapes given on the command line.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The largest size that a dimension may have.
pub(super) const MAX_SIZE: i64 = 1 << 40;

/// What one dimension of an input is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DimSpec {
    /// What the file says.
    AsInFile,
    /// A fixed size.
    Fixed(i64),
    /// A dynamic size within bounds, both inclusive.
    Range {
        /// The smallest size.
        min: i64,
        /// The largest size.
        max: i64,
    },
    /// A multiple of a named dimension. The same name stands for the same size everywhere.
    Named {
        /// The factor; 1 unless given.
        factor: i64,
        /// The name.
        name: String,
        /// The bounds of the name (not of the product), both inclusive.
        range: Option<(i64, i64)>,
    },
}

/// As it is written in a shape.
impl fmt::Display for DimSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsInFile => f.write_str("?"),
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Range { min, max } => write!(f, "{min}..{max}"),
            Self::Named { factor, name, range } => {
                if *factor != 1 {
                    write!(f, "{factor}*")?;
                }
                f.write_str(name)?;
                range.map_or(Ok(()), |(min, max)| write!(f, "={min}..{max}"))
            }
        }
    }
}

/// The shape of one input, written `NAME:DIMS`:
///
/// ```text
/// SHAPE  = NAME ":" DIM { "x" DIM }          the name may contain colons; the last one counts
///        | NAME ":" DIM { "," DIM }          with commas, dimension names may contain the letter x
/// DIM    = SIZE                              a fixed size
///        | SIZE ".." SIZE                    a dynamic size from .. to, inclusive
///        | [ SIZE "*" ] WORD [ "=" SIZE ".." SIZE ]
///                                            a named size, a multiple of one, its bounds
///        | "?"                               as in the file
/// WORD   = letter or "_", then letters, digits, "_" or "."
/// ```
///
/// `images:1x3x32*hx32*w`, `x:1..8x3xHxW`, `x:1,3,32*h=1..48,32*width`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeSpec {
    /// The name of the input.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<DimSpec>,
}

/// Why a text is not a shape.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot read the shape `{text}`: {problem}; examples: `x:1x3x224x224`, `x:1..8x3xHxW`, `x:1x3x32*h=1..20x32*w`")]
pub struct ShapeSpecError {
    /// The whole text.
    pub text: String,
    /// What is wrong.
    pub problem: String,
}

impl FromStr for ShapeSpec {
    type Err = ShapeSpecError;

    fn from_str(text: &str) -> Result<Self, ShapeSpecError> {
        let error = |problem: String| ShapeSpecError { text: text.to_string(), problem };
        let (name, dims) = text.rsplit_once(':').ok_or_else(|| error("`NAME:` is missing".to_string()))?;
        if name.is_empty() {
            return Err(error("the name is empty".to_string()));
        }
        let dims: Result<Vec<DimSpec>, String> = split(dims).map(parse_dim).collect();
        Ok(Self { name: name.to_string(), dims: dims.map_err(error)? })
    }
}

fn split(dims: &str) -> impl Iterator<Item = &str> {
    let separator = if dims.contains(',') { ',' } else { 'x' };
    dims.split(separator).map(str::trim).filter(move |_| !dims.trim().is_empty())
}

fn parse_dim(text: &str) -> Result<DimSpec, String> {
    if text == "?" {
        return Ok(DimSpec::AsInFile);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('*') {
        return match text.split_once("..") {
            Some(_) => parse_range(text).map(|(min, max)| DimSpec::Range { min, max }),
            None => parse_size(text).map(DimSpec::Fixed),
        };
    }
    let (product, range) = match text.split_once('=') {
        Some((product, range)) => (product, Some(parse_range(range)?)),
        None => (text, None),
    };
    let (factor, name) = match product.split_once('*') {
        Some((factor, name)) => (parse_size(factor)?, name),
        None => (1, product),
    };
    Ok(DimSpec::Named { factor, name: parse_name(name)?, range })
}

fn parse_range(text: &str) -> Result<(i64, i64), String> {
    let (min, max) = text.split_once("..").ok_or_else(|| format!("`{text}` is not a range such as `1..8`"))?;
    let (min, max) = (parse_size(min)?, parse_size(max)?);
    if min > max { Err(format!("the range `{text}` is empty")) } else { Ok((min, max)) }
}

fn parse_size(text: &str) -> Result<i64, String> {
    let size = text.parse::<i64>().ok().filter(|size| (1..=MAX_SIZE).contains(size));
    size.ok_or_else(|| format!("`{text}` is not a size from 1 to {MAX_SIZE}"))
}

fn parse_name(text: &str) -> Result<String, String> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if starts_well && fits { Ok(text.to_string()) } else { Err(format!("`{text}` is not a dimension name")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &str) -> Vec<DimSpec> {
        text.parse::<ShapeSpec>().map(|shape| shape.dims).unwrap_or_default()
    }

    fn named(factor: i64, name: &str, range: Option<(i64, i64)>) -> DimSpec {
        DimSpec::Named { factor, name: name.to_string(), range }
    }

    #[test]
    fn reads_all_forms() {
        assert_eq!(dims("x:1x3"), [DimSpec::Fixed(1), DimSpec::Fixed(3)]);
        assert_eq!(dims("x:1..8xHxW"), [DimSpec::Range { min: 1, max: 8 }, named(1, "H", None), named(1, "W", None)]);
        assert_eq!(dims("x:32*hx32*w=1..48"), [named(32, "h", None), named(32, "w", Some((1, 48)))]);
        assert_eq!(dims("x:?,max_len,2"), [DimSpec::AsInFile, named(1, "max_len", None), DimSpec::Fixed(2)]);
        assert_eq!("a:0:1x2".parse::<ShapeSpec>().map(|shape| shape.name), Ok("a:0".to_string()));
        assert_eq!(dims("x:"), []);
        for text in ["?", "3", "1..8", "h", "32*h", "32*h=1..48"] {
            assert_eq!(parse_dim(text).map(|dim| dim.to_string()), Ok(text.to_string()));
        }
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "x", ":1", "x:0", "x:-1", "x:1x", "x:8..1", "x:1..", "x:h=", "x:*h", "x:99999999999999999999", "x:a-b"] {
            assert!(text.parse::<ShapeSpec>().is_err(), "{text}");
        }
    }
}
