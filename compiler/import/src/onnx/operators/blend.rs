//! Resampling by constant weights, for the styles in which the weights of an axis have no simple form: each result is a
//! weighted sum over its axis.

use super::{Importer, Results, one};
use crate::onnx::node_error::{NodeError, NodeResult, limit, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;

/// The maximum number of weights of one axis.
const MAX_WEIGHTS: usize = 1 << 24;

/// How results are made of elements.
pub(super) struct Blend {
    /// `linear` or `cubic`.
    pub(super) mode: String,
    /// The coordinate transformation.
    pub(super) coordinate: String,
    /// Whether elements are averaged where the result is smaller.
    pub(super) antialias: bool,
    /// Whether elements outside have no weight, instead of being repeated.
    pub(super) exclude_outside: bool,
    /// The parameter of cubic weights.
    pub(super) cubic_a: f64,
    /// What a position outside gives, where the transformation is that of a crop.
    pub(super) extrapolation: f64,
}

/// One axis that is resampled.
pub(super) struct Axis {
    pub(super) axis: usize,
    pub(super) from: Dim,
    pub(super) to: Dim,
    /// The scale, where it is given.
    pub(super) scale: Option<f64>,
    /// The part that is cropped.
    pub(super) crop: (f64, f64),
}

/// Weights [to, from] with what each result lacks because it lies outside.
struct Weights {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
    outside: Vec<bool>,
}

impl Blend {
    /// The position of result `i` among the elements.
    fn position(&self, axis: &Axis, i: f64, from: f64, to: f64, scale: f64) -> NodeResult<f64> {
        let centered = (i + 0.5) / scale - 0.5;
        Ok(match self.coordinate.as_str() {
            "half_pixel" => centered,
            "pytorch_half_pixel" => {
                if to > 1.0 {
                    centered
                } else {
                    0.0
                }
            }
            "asymmetric" => i / scale,
            "align_corners" => {
                if to > 1.0 {
                    i * (from - 1.0) / (to - 1.0)
                } else {
                    0.0
                }
            }
            "half_pixel_symmetric" => {
                let adjustment = to / (scale * from);
                from / 2.0 * (1.0 - adjustment) + centered
            }
            "tf_crop_and_resize" => {
                let (start, end) = axis.crop;
                let middle = 0.5 * (start + end) * (from - 1.0);
                if to > 1.0 { start * (from - 1.0) + i * (end - start) * (from - 1.0) / (to - 1.0) } else { middle }
            }
            other => return unsupported(format!("coordinate transformation `{other}` is not supported")),
        })
    }

    /// The weight of an element at a distance from the position.
    fn weight(&self, distance: f64) -> f64 {
        let (a, d) = (self.cubic_a, distance.abs());
        match (self.mode.as_str(), d) {
            ("cubic", d) if d < 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
            ("cubic", d) if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
            ("cubic", _) => 0.0,
            (_, d) => (1.0 - d).max(0.0),
        }
    }

    fn weights(&self, axis: &Axis, from: usize, to: usize) -> NodeResult<Weights> {
        let scale = axis.scale.unwrap_or(to as f64 / from as f64);
        let stretch = if self.antialias { scale.min(1.0) } else { 1.0 };
        let reach = (if self.mode == "cubic" { 2.0 } else { 1.0 }) / stretch;
        let mut weights = Weights { rows: to, columns: from, values: vec![0.0; to * from], outside: Vec::new() };
        for i in 0..to {
            let position = self.position(axis, i as f64, from as f64, to as f64, scale)?;
            let row = &mut weights.values[i * from..(i + 1) * from];
            for element in (position - reach).floor() as i64..=(position + reach).ceil() as i64 {
                let nearest = element.clamp(0, from as i64 - 1);
                if nearest == element || !self.exclude_outside {
                    row[nearest as usize] += self.weight((element as f64 - position) * stretch);
                }
            }
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|weight| *weight /= sum);
            weights.outside.push(position < 0.0 || position > from as f64 - 1.0);
        }
        Ok(weights)
    }

    /// Resamples some axes one after another.
    pub(super) fn apply(&self, cx: &mut Importer, x: &Operand, axes: &[Axis]) -> Results {
        let (dtype, rank) = (cx.dtype(x), cx.rank(x));
        let mut result = cx.cast(x, DType::F32)?;
        let mut outside = cx.scalar(DType::Bool, 0.0)?;
        for axis in axes {
            let weights = self.weights(axis, size(&axis.from)?, size(&axis.to)?)?;
            result = weights.apply(cx, &result, axis.axis)?;
            if self.coordinate == "tf_crop_and_resize" {
                let own = weights.outside(cx, rank, axis.axis)?;
                outside = cx.binary(Op::Or, &outside, &own)?;
            }
        }
        if self.coordinate == "tf_crop_and_resize" {
            let value = cx.scalar(DType::F32, self.extrapolation)?;
            result = cx.select(&outside, &value, &result)?;
        }
        one(cx.cast(&result, dtype)?)
    }
}

fn size(dim: &Dim) -> NodeResult<usize> {
    let size = dim.as_constant().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    size.ok_or_else(|| {
        NodeError::Unsupported(format!("this style of resizing needs fixed sizes, not {dim}; give them with --shape"))
    })
}

impl Weights {
    fn apply(&self, cx: &mut Importer, x: &Operand, axis: usize) -> NodeResult<Operand> {
        if self.values.len() > MAX_WEIGHTS {
            return limit(format!("resizing from {} to {} elements in this style", self.columns, self.rows));
        }
        cx.reserve(self.values.len() * 4)?;
        let values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
        let weights = Tensor::f32(&[self.rows, self.columns], &values).map(Operand::from);
        let weights = weights.ok_or_else(|| NodeError::Limit("the weights do not fit memory".to_string()))?;
        let (dims, last) = (cx.dims(x), cx.rank(x) - 1);
        if axis == last {
            let weights = cx.transpose(&weights, &[1, 0])?;
            return cx.matmul(x, &weights);
        }
        let columns = lostwax_ir::dim::product(&dims[axis + 1..]);
        let flat = cx.reshape(x, &[&dims[..=axis], &[columns]].concat())?;
        let flat = cx.matmul(&weights, &flat)?;
        let mut dims = dims;
        dims[axis] = (self.rows as i64).into();
        cx.reshape(&flat, &dims)
    }

    fn outside(&self, cx: &mut Importer, rank: usize, axis: usize) -> NodeResult<Operand> {
        let values: Vec<i64> = self.outside.iter().map(|outside| i64::from(*outside)).collect();
        let mut shape = vec![1; rank];
        shape[axis] = self.rows;
        let tensor = Tensor::from_i64(DType::Bool, &shape, &values).map(Operand::from);
        let item = tensor.ok_or_else(|| NodeError::Limit("the weights do not fit memory".to_string()))?;
        cx.reshape(&item, &cx.dims(&item))
    }
}
