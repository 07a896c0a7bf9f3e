use super::common::{self, Window};
use super::{Class, Op, OpDef, Operands, Tolerance, Work};
use crate::attrs::{AttrKind, Attrs};
use crate::compute::Compute;
use crate::dim::{Dim, product};
use crate::number::Number;
use crate::scalar::ReduceOp;
use crate::tensor::Tensor;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "avg_pool",
    doc: "The mean of each window. Padding does not count, unless `count_include_pad` makes it count as zeros.",
    operands: Operands::Fixed(&["x"]),
    attrs: &[
        common::KERNEL,
        common::STRIDES,
        common::DILATIONS,
        common::BEFORE,
        common::AFTER,
        common::CHANNELS_LAST,
        common::attr("count_include_pad", AttrKind::Bool, "whether padding counts"),
    ],
    class: Class::Window,
    commutative: false,
    tolerance: Tolerance::Accumulation,
    work: Work::Window,
    infer: |operands, attrs| common::infer_pool(Op::AvgPool, operands[0], attrs, common::FLOATS),
    eval,
    lower,
    sample: |random| {
        let count_include_pad = random.one_in(2);
        common::sample_pool(random, common::FLOATS).with("count_include_pad", count_include_pad)
    },
};

fn eval(operands: &[&Tensor], attrs: &Attrs, output: &TensorType) -> Option<Tensor> {
    let window = Window::new(attrs.ints("kernel"), attrs);
    let all: i64 = window.kernel.iter().product();
    common::eval_pool(operands[0], &window, output, |values: &[f64], taps| {
        let sum: f64 = taps.iter().map(|tap| values[*tap]).sum();
        sum / if attrs.flag("count_include_pad") { all as f64 } else { taps.len() as f64 }
    })
}

fn lower(operands: &[&TensorType], attrs: &Attrs, output: &TensorType) -> Option<Compute> {
    let (x, window) = (operands[0], Window::new(attrs.ints("kernel"), attrs));
    let dtype = common::accumulator(output.dtype);
    common::lower_pool(&window, x, output, ReduceOp::Sum, Number::float(x.dtype, 0.0), |body, outs, sum| {
        let padded = |i: usize| !attrs.flag("count_include_pad") && (window.before[i] > 0 || window.after[i] > 0);
        let count = |i: usize| if padded(i) { clipped(&window, i, x, &outs[i]) } else { window.kernel[i].into() };
        let counts: Vec<Dim> = (0..window.count()).map(count).collect();
        common::divide(body, dtype, sum, &product(&counts))
    })
}

/// The number of taps of the window at `out` that lie in the image.
fn clipped(window: &Window, i: usize, x: &TensorType, out: &Dim) -> Dim {
    let (size, dilation) = (&x.dims[window.axis(i)], window.dilations[i]);
    let start = window.position(i, out, &0.into());
    let end = (size.clone() - start.clone()).ceil_div(dilation).minimum(window.kernel[i]);
    let count = end - (-start).ceil_div(dilation).maximum(0);
    let may_miss = window.before[i] >= window.span(i) || window.after[i] >= window.span(i);
    if may_miss { count.maximum(0) } else { count }
}
