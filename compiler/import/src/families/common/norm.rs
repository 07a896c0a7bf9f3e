//! Norms.

use super::builder::{Builder, Built};
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use std::sync::Arc;

/// How a norm measures its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Divides by the root of the mean square (Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019).
    RootMeanSquare,
    /// Takes the mean away, then divides by the deviation (Ba et al., "Layer Normalization", 2016).
    Layer,
}

/// A norm along the last axis.
pub struct Norm {
    /// How it measures.
    pub kind: NormKind,
    /// What is added to the mean square.
    pub epsilon: f64,
    /// The factors, f32 `[n, size]`; one row for each index of the operand's axis before the last, or one for all.
    pub weight: Arc<Tensor>,
    /// What is added at the end, f32 `[1, size]`.
    pub bias: Option<Arc<Tensor>>,
}

impl Builder {
    /// `norm` of `x[.., size]`.
    pub fn norm(&mut self, x: Value, norm: &Norm) -> Built {
        let axis = self.graph.ty(x).rank().saturating_sub(1);
        let centered = match norm.kind {
            NormKind::RootMeanSquare => x,
            NormKind::Layer => {
                let mean = self.reduce(Op::ReduceMean, x, axis)?;
                self.op(Op::Sub, &[x, mean])?
            }
        };
        let unit = self.divided_by_deviation(centered, norm.epsilon)?;
        let weight = self.parameter(&norm.weight, axis + 1)?;
        let scaled = self.product(unit, weight)?;
        let Some(bias) = &norm.bias else { return Ok(scaled) };
        let bias = self.parameter(bias, axis + 1)?;
        self.sum(scaled, bias)
    }

    /// `norm`, if there is one.
    pub fn maybe_norm(&mut self, x: Value, norm: Option<&Norm>) -> Built {
        norm.map_or(Ok(x), |norm| self.norm(x, norm))
    }

    /// `x / sqrt(mean(x * x) + epsilon)` along the last axis.
    fn divided_by_deviation(&mut self, x: Value, epsilon: f64) -> Built {
        let axis = self.graph.ty(x).rank().saturating_sub(1);
        let squares = self.product(x, x)?;
        let mean = self.reduce(Op::ReduceMean, squares, axis)?;
        let raised = self.with(Op::Add, mean, epsilon)?;
        let deviation = self.op(Op::Sqrt, &[raised])?;
        self.op(Op::Div, &[x, deviation])
    }

    /// A parameter with axes of size 1 in front.
    fn parameter(&mut self, tensor: &Arc<Tensor>, rank: usize) -> Built {
        let constant = self.constant(tensor)?;
        let own = self.dims(constant);
        let mut dims = vec![Dim::constant(1); rank.saturating_sub(own.len())];
        dims.extend(own);
        self.reshape(constant, &dims)
    }
}
