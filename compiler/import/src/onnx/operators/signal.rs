//! Signal processing: windows and Fourier transforms, as products with constant matrices.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::movement::AxisSlice;
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeError, NodeResult, invalid, limit, unsupported};
use crate::onnx::operand::Operand;
use crate::onnx::tensors;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use std::f64::consts::TAU;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("BlackmanWindow", |cx, node| window(cx, node, &[0.42, -0.5, 0.08])),
    Operator::standard("DFT", transform),
    Operator::standard("HammingWindow", |cx, node| window(cx, node, &[25.0 / 46.0, -21.0 / 46.0])),
    Operator::standard("HannWindow", |cx, node| window(cx, node, &[0.5, -0.5])),
    Operator::standard("STFT", short_time),
];

/// The largest length of a transform.
const MAX_LENGTH: i64 = 1 << 12;

fn number(node: &Node, position: usize, what: &str) -> NodeResult<Option<i64>> {
    match node.integers(position, what)?.as_deref() {
        None => Ok(None),
        Some([value]) => Ok(Some(*value)),
        Some(_) => invalid(format!("{what} must be one number")),
    }
}

/// A sum of cosines with the given factors.
fn window(cx: &mut Importer, node: &Node, factors: &[f64]) -> Results {
    let dtype = tensors::dtype(node.int("output_datatype", 1))?;
    let size = number(node, 0, "the size of the window")?.and_then(|size| usize::try_from(size).ok());
    let Some(size) = size else { return invalid("the size of the window is missing or negative") };
    cx.reserve(size.saturating_mul(8))?;
    let period = if node.flag("periodic", true) { size } else { size.saturating_sub(1) } as f64;
    let value = |i: usize| {
        let angle = TAU * i as f64 / period.max(1.0);
        factors.iter().enumerate().map(|(k, factor)| factor * (angle * k as f64).cos()).sum()
    };
    let values: Vec<f64> = (0..size).map(value).collect();
    one(constant(dtype, &[size], &values)?)
}

fn constant(dtype: DType, shape: &[usize], values: &[f64]) -> NodeResult<Operand> {
    let tensor = Tensor::from_f64(dtype, shape, values);
    tensor.map(Operand::from).ok_or_else(|| NodeError::Unsupported(format!("constants of type {dtype} are not supported")))
}

/// A transform of a signal whose last axis is real and imaginary part, or the real part alone.
struct Fourier {
    /// Elements of the signal that take part; those that are missing are 0.
    given: usize,
    length: usize,
    /// The number of frequencies.
    count: usize,
    inverse: bool,
}

impl Fourier {
    fn new(given: &Dim, length: Option<i64>, inverse: bool, onesided: bool) -> NodeResult<Self> {
        let Some(size) = given.as_constant() else {
            return unsupported(format!("a transform of dynamic length {given}; fix it with --shape"));
        };
        let length = length.unwrap_or(size);
        if !(1..=MAX_LENGTH).contains(&length) {
            return limit(format!("a transform of length {length}; from 1 to {MAX_LENGTH} are supported"));
        }
        let count = if onesided { length / 2 + 1 } else { length };
        Ok(Self { given: size.min(length) as usize, length: length as usize, count: count as usize, inverse })
    }

    /// The matrix [given, count] of cosines or sines.
    fn matrix(&self, cx: &mut Importer, dtype: DType, function: fn(f64) -> f64) -> NodeResult<Operand> {
        cx.reserve(self.given.saturating_mul(self.count).saturating_mul(8))?;
        let scale = if self.inverse { 1.0 / self.length as f64 } else { 1.0 };
        let step = if self.inverse { TAU } else { -TAU } / self.length as f64;
        let positions = (0..self.given).flat_map(|n| (0..self.count).map(move |k| (n, k)));
        let values: Vec<f64> = positions.map(|(n, k)| scale * function(step * (n * k % self.length) as f64)).collect();
        constant(dtype, &[self.given, self.count], &values)
    }

    /// Transforms the last axis of real and imaginary parts, and puts both side by side along a new one.
    fn apply(&self, cx: &mut Importer, real: &Operand, imaginary: Option<&Operand>) -> NodeResult<Operand> {
        let dtype = cx.dtype(real);
        let (cosines, sines) = (self.matrix(cx, dtype, f64::cos)?, self.matrix(cx, dtype, f64::sin)?);
        let last = cx.rank(real);
        let mut parts = [cx.matmul(real, &cosines)?, cx.matmul(real, &sines)?];
        if let Some(imaginary) = imaginary {
            let (against, along) = (cx.matmul(imaginary, &sines)?, cx.matmul(imaginary, &cosines)?);
            parts = [cx.sub(&parts[0], &against)?, cx.add(&parts[1], &along)?];
        }
        cx.stack(&parts, last)
    }
}

/// Real and imaginary part of a signal, with `axis` moved to the end and cut to `size` elements.
fn parts(cx: &mut Importer, x: &Operand, axis: usize, size: usize) -> NodeResult<(Operand, Option<Operand>)> {
    let last = cx.rank(x) - 1;
    let cut = cx.slice_axis(x, axis, AxisSlice::new(0, size as i64))?;
    let perm: Vec<usize> = (0..last).filter(|other| *other != axis).chain([axis]).collect();
    let is_complex = cx.dims(x)[last].is(2);
    let mut part = |position: i64| {
        let part = cx.take(&cut, last, position)?;
        cx.transpose(&part, &perm)
    };
    let real = part(0)?;
    Ok((real, if is_complex { Some(part(1)?) } else { None }))
}

fn transform(cx: &mut Importer, node: &Node) -> Results {
    const AXIS_IS_OPERAND_SINCE: i64 = 20;
    let x = node.input(0)?;
    let rank = cx.rank(x);
    let given = if node.opset < AXIS_IS_OPERAND_SINCE { node.int("axis", 1) } else { number(node, 2, "the axis")?.unwrap_or(-2) };
    let at = axis(given, rank)?;
    let onesided = node.flag("onesided", false);
    let inverse = node.flag("inverse", false);
    if at + 1 == rank || (inverse && onesided) {
        return unsupported("a transform of the last axis, or back from one half of the frequencies, is not supported");
    }
    let fourier = Fourier::new(&cx.dims(x)[at], number(node, 1, "the length of the transform")?, inverse, onesided)?;
    let (real, imaginary) = parts(cx, x, at, fourier.given)?;
    let result = fourier.apply(cx, &real, imaginary.as_ref())?;
    let last = rank - 1;
    let perm: Vec<usize> = (0..at).chain([last - 1]).chain(at..last - 1).chain([last]).collect();
    one(cx.transpose(&result, &perm)?)
}

/// The signal in frames that overlap: [batch, frames, length].
fn frames(cx: &mut Importer, x: &Operand, length: i64, step: i64) -> NodeResult<Operand> {
    let (dims, size) = (cx.dims(x), Dim::constant(length));
    let count = (dims[1].clone() - size.clone()).floor_div(step) + 1.into();
    let shape = [count, size];
    let (frame, offset) = (cx.iota(DType::I64, &shape, 0)?, cx.iota(DType::I64, &shape, 1)?);
    let start = cx.with_scalar(Op::Mul, &frame, step as f64)?;
    let positions = cx.add(&start, &offset)?;
    cx.op(Op::Gather, Attrs::new().with("axis", 1), &[x, &positions])
}

fn short_time(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    if !matches!(cx.rank(x), 2 | 3) {
        return invalid(format!("a signal of type {}; batch and time are expected", cx.ty(x)));
    }
    let Some(step) = number(node, 1, "the step between frames")?.filter(|step| *step > 0) else {
        return invalid("the step between frames is missing or not positive");
    };
    let window = node.optional(2)?;
    let length = match (number(node, 3, "the length of a frame")?, window) {
        (Some(length), _) => length,
        (None, Some(window)) => cx.static_sizes(window, "the window")?.first().copied().unwrap_or(0),
        (None, None) => return invalid("neither a window nor the length of a frame is given"),
    };
    let complex = cx.rank(x) == 3 && cx.dims(x)[2].is(2);
    let onesided = node.flag("onesided", true) && !complex;
    let fourier = Fourier::new(&length.into(), None, false, onesided)?;
    let mut results = Vec::new();
    for part in 0..if complex { 2 } else { 1 } {
        let signal = if cx.rank(x) == 3 { cx.take(x, 2, part)? } else { x.clone() };
        let frames = frames(cx, &signal, length, step)?;
        results.push(if let Some(window) = window { cx.mul(&frames, window)? } else { frames });
    }
    let Some(real) = results.first() else { return invalid("a signal is expected") };
    one(fourier.apply(cx, real, results.get(1))?)
}
