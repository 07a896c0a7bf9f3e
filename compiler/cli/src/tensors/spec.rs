//! The text form of an input.

use std::path::PathBuf;
use std::str::FromStr;

/// An input: `NAME=@FILE`, `@FILE` or `NAME=DIMSxDTYPE=VALUES`.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// The input; `None` when the file tells or there is only one.
    pub name: Option<String>,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    File(PathBuf),
    Values { shape: Vec<usize>, dtype: String, fill: Fill },
}

/// The values of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// These, row-major; a single one stands for all.
    List(Vec<f64>),
    /// Uniformly distributed.
    Random { low: f64, high: f64 },
}

const FORMS: &str = "examples: `x=@x.npy`, `@inputs.npz`, `x=@photo.png`, `x=1x3x4xf32=0`, `ids=1x8xi64=0..1000`, `n=i64=3`";

impl FromStr for InputSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = |problem: &str| format!("cannot read the input `{text}`: {problem}; {FORMS}");
        if let Some(file) = text.strip_prefix('@') {
            return Ok(Self { name: None, source: Source::File(file.into()) });
        }
        let (name, value) = text.split_once('=').ok_or_else(|| error("`=` is missing"))?;
        let source = match value.strip_prefix('@') {
            Some(file) => Source::File(file.into()),
            None => parse_values(value).map_err(|problem| error(&problem))?,
        };
        Ok(Self { name: Some(name.to_string()), source })
    }
}

fn parse_values(text: &str) -> Result<Source, String> {
    let (kind, values) = text.split_once('=').ok_or("the values are missing")?;
    let mut words: Vec<&str> = kind.split('x').collect();
    let dtype = words.pop().unwrap_or_default().to_string();
    let shape = words.iter().map(|word| word.parse().map_err(|_| format!("`{word}` is not a size")));
    Ok(Source::Values { shape: shape.collect::<Result<_, _>>()?, dtype, fill: parse_fill(values)? })
}

fn parse_fill(text: &str) -> Result<Fill, String> {
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
    match text.split_once("..") {
        Some((low, high)) => Ok(Fill::Random { low: number(low)?, high: number(high)? }),
        None => Ok(Fill::List(text.split(',').map(number).collect::<Result<_, _>>()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(shape: &[usize], dtype: &str, fill: Fill) -> Source {
        Source::Values { shape: shape.to_vec(), dtype: dtype.to_string(), fill }
    }

    #[test]
    fn reads_all_forms() {
        let source = |text: &str| text.parse::<InputSpec>().map(|spec| spec.source);
        assert_eq!(source("x=@a.npy"), Ok(Source::File("a.npy".into())));
        assert_eq!(source("x=1x3xf32=0"), Ok(values(&[1, 3], "f32", Fill::List(vec![0.0]))));
        assert_eq!(source("x=i64=-3"), Ok(values(&[], "i64", Fill::List(vec![-3.0]))));
        assert_eq!(source("x=2xf16=1,2.5"), Ok(values(&[2], "f16", Fill::List(vec![1.0, 2.5]))));
        assert_eq!(source("x=2xi32=0..256"), Ok(values(&[2], "i32", Fill::Random { low: 0.0, high: 256.0 })));
        assert_eq!("@a.npz".parse::<InputSpec>().map(|spec| spec.name), Ok(None));
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["x", "x=1x3", "x=1x3xf32", "x=axf32=0", "x=1xf32=a", "x=1xf32=0.."] {
            assert!(text.parse::<InputSpec>().is_err(), "{text}");
        }
    }
}
