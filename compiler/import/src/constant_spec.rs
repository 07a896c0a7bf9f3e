//! Constants given on the command line.

use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// An input that is to become a constant, written `NAME=NUMBER` or, for a vector, `NAME=NUMBER,NUMBER,..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantSpec {
    /// The name of the input.
    pub name: String,
    /// The value: 64-bit integers, or 64-bit floats if any number is not an integer.
    pub value: Arc<Tensor>,
}

/// Why a text is not a constant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot read the constant `{text}`: {problem}; examples: `sr=16000`, `scales=1,1,2,2`")]
pub struct ConstantSpecError {
    /// The whole text.
    pub text: String,
    /// What is wrong.
    pub problem: String,
}

impl FromStr for ConstantSpec {
    type Err = ConstantSpecError;

    fn from_str(text: &str) -> Result<Self, ConstantSpecError> {
        let error = |problem: String| ConstantSpecError { text: text.to_string(), problem };
        let (name, list) = text.rsplit_once('=').ok_or_else(|| error("`NAME=` is missing".to_string()))?;
        if name.is_empty() {
            return Err(error("the name is empty".to_string()));
        }
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        let shape: &[usize] = if words.len() == 1 { &[] } else { &[words.len()] };
        let integers: Result<Vec<i64>, _> = words.iter().map(|word| word.parse()).collect();
        let value = match integers {
            Ok(values) => Tensor::from_slice(DType::I64, shape, &values),
            Err(_) => {
                let number = |word: &&str| word.parse::<f64>().map_err(|_| error(format!("`{word}` is not a number")));
                Tensor::from_slice(DType::F64, shape, &words.iter().map(number).collect::<Result<Vec<f64>, _>>()?)
            }
        };
        let value = value.ok_or_else(|| error("it does not fit memory".to_string()))?;
        Ok(Self { name: name.to_string(), value: Arc::new(value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_vectors() {
        let spec = |text: &str| text.parse::<ConstantSpec>().map(|spec| (spec.name, spec.value.ty(), spec.value.to_f64()));
        let scalar = lostwax_ir::types::TensorType::scalar(DType::I64);
        assert_eq!(spec("sr=16000"), Ok(("sr".to_string(), scalar, vec![16000.0])));
        assert_eq!(spec("a=b=1, 0.5").map(|(name, ty, _)| (name, ty.dtype)), Ok(("a=b".to_string(), DType::F64)));
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "x", "=1", "x=", "x=a", "x=1,,2"] {
            assert!(text.parse::<ConstantSpec>().is_err(), "{text}");
        }
    }
}
