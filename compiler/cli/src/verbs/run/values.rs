//! The values of a tensor as text and as JSON.

use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use lostwax_runtime::TensorView;
use serde_json::{Value, json};

/// The values that are shown of each output unless a number is given.
pub const MOST_AS_TEXT: usize = 6;

/// The same as JSON.
pub const MOST_AS_JSON: usize = 1 << 16;

/// The values of a tensor, row-major.
pub enum Values {
    Floats(Vec<f64>),
    Integers(Vec<i128>),
    Bools(Vec<bool>),
}

impl Values {
    pub fn new(view: &TensorView<'_>) -> Self {
        let wide = || view.view::<u64>().map(|values| values.iter().map(|value| i128::from(*value)).collect());
        let tensor =
            DType::from_name(view.dtype().name()).and_then(|dtype| Tensor::from_bytes(dtype, view.shape(), view.bytes()));
        match (view.dtype().name(), tensor) {
            ("bool", Some(tensor)) => Self::Bools(tensor.to_f64().into_iter().map(|value| value != 0.0).collect()),
            ("u64", _) => Self::Integers(wide().unwrap_or_default()),
            (name, Some(tensor)) if name.starts_with(['f', 'b']) => Self::Floats(tensor.to_f64()),
            (_, Some(tensor)) => Self::Integers(tensor.to_i64().into_iter().map(i128::from).collect()),
            (_, None) => Self::Floats(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
            Self::Bools(values) => values.len(),
        }
    }

    /// The first values for people.
    pub fn text(&self, most: usize) -> String {
        let shown: Vec<String> = match self {
            Self::Floats(values) => values.iter().take(most).map(|value| format!("{value:.6}")).collect(),
            Self::Integers(values) => values.iter().take(most).map(ToString::to_string).collect(),
            Self::Bools(values) => values.iter().take(most).map(ToString::to_string).collect(),
        };
        let dots = if self.len() > most { ", ..." } else { "" };
        format!("[{}{dots}]", shown.join(", "))
    }

    /// The first values for programs, and whether they are all. What JSON has no number for is a text: `NaN`, `Infinity`, `-Infinity`.
    pub fn json(&self, most: usize) -> (Vec<Value>, bool) {
        let values = match self {
            Self::Floats(values) => values.iter().take(most).map(|value| float(*value)).collect(),
            Self::Integers(values) => values.iter().take(most).map(|value| integer(*value)).collect(),
            Self::Bools(values) => values.iter().take(most).map(|value| json!(value)).collect(),
        };
        (values, self.len() <= most)
    }
}

fn float(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    }
}

fn integer(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| json!(u64::try_from(value).ok()), |value| json!(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_hold_is_text() {
        let view = [1.5f32, f32::NAN, f32::NEG_INFINITY];
        let values = Values::new(&TensorView::new(&view, &[3]).unwrap());
        assert_eq!(values.json(10), (vec![json!(1.5), json!("NaN"), json!("-Infinity")], true));
        assert_eq!(values.json(1), (vec![json!(1.5)], false));
        assert_eq!(values.text(1), "[1.500000, ...]");
    }

    #[test]
    fn integers_are_exact() {
        let values = Values::new(&TensorView::new(&[u64::MAX], &[1]).unwrap());
        assert_eq!(values.json(10), (vec![json!(u64::MAX)], true));
        let values = Values::new(&TensorView::new(&[i64::MIN], &[1]).unwrap());
        assert_eq!(values.json(10), (vec![json!(i64::MIN)], true));
    }
}
