//! Convolutions.

use super::window::{MAX_EXTENT, Window, explicit_pads, positive_list};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::{NodeError, NodeResult, invalid};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Conv", conv),
    Operator::standard("ConvInteger", conv_integer),
    Operator::standard("ConvTranspose", conv_transpose),
];

fn conv(cx: &mut Importer, node: &Node) -> Results {
    let result = convolve(cx, node, node.input(0)?, node.input(1)?)?;
    one(add_bias(cx, &result, node.optional(2)?)?)
}

fn convolve(cx: &mut Importer, node: &Node, x: &Operand, w: &Operand) -> NodeResult<Operand> {
    let weights = cx.static_sizes(w, "the weights of a convolution")?;
    let kernel = weights.get(2..).unwrap_or(&[]).to_vec();
    if kernel.contains(&0) || node.ints("kernel_shape").is_some_and(|given| !given.is_empty() && given != kernel) {
        return invalid(format!("the weights have the shape {weights:?}, which does not fit `kernel_shape`"));
    }
    let mut window = Window::new(cx, node, x, kernel)?;
    let groups = node.int("group", 1).max(1);
    let mut dims = cx.dims(x);
    dims[1] = Dim::constant(weights[1].saturating_mul(groups));
    let x = cx.assert_dims(x, &dims)?;
    let x = window.fix_padding(cx, &x, 0.0)?;
    cx.op(Op::Conv, window.attrs()?.with("groups", groups), &[&x, w])
}

pub(super) fn add_bias(cx: &mut Importer, x: &Operand, bias: Option<&Operand>) -> NodeResult<Operand> {
    let Some(bias) = bias else { return Ok(x.clone()) };
    let mut dims = vec![Dim::constant(1); cx.rank(x)];
    dims[1] = cx.ty(bias).element_count();
    let bias = cx.reshape(bias, &dims)?;
    cx.add(x, &bias)
}

fn conv_integer(cx: &mut Importer, node: &Node) -> Results {
    let (x, w) = ((node.input(0)?, node.optional(2)?), (node.input(1)?, node.optional(3)?));
    one(convolve_integers(cx, node, x, w)?)
}

/// The convolution of integers with their zero points.
pub(super) fn convolve_integers(
    cx: &mut Importer,
    node: &Node,
    x: (&Operand, Option<&Operand>),
    w: (&Operand, Option<&Operand>),
) -> NodeResult<Operand> {
    let (x, w) = (centered(cx, x.0, x.1)?, centered(cx, w.0, w.1)?);
    convolve(cx, node, &x, &w)
}

/// Elements as i32 relative to a zero point, which is one for all or one for each part along the first axis.
fn centered(cx: &mut Importer, item: &Operand, zero: Option<&Operand>) -> NodeResult<Operand> {
    let item = cx.cast(item, DType::I32)?;
    let Some(zero) = zero else { return Ok(item) };
    let zero = cx.cast(zero, DType::I32)?;
    let count = cx.ty(&zero).element_count();
    let dims: Vec<Dim> = std::iter::once(count).chain(vec![1.into(); cx.rank(&item).saturating_sub(1)]).collect();
    let zero = cx.reshape(&zero, &dims)?;
    cx.sub(&item, &zero)
}

struct Transposed {
    before: Vec<i64>,
    after: Vec<i64>,
    extra: Vec<i64>,
}

fn conv_transpose(cx: &mut Importer, node: &Node) -> Results {
    let (x, w) = (node.input(0)?, node.input(1)?);
    let weights = cx.static_sizes(w, "the weights of a convolution")?;
    let kernel = weights.get(2..).unwrap_or(&[]).to_vec();
    let count = kernel.len();
    let mut dims = cx.dims(x);
    if count == 0 || dims.len() != count + 2 || kernel.iter().any(|size| !(1..MAX_EXTENT).contains(size)) {
        return invalid(format!("weights of shape {weights:?} do not fit an operand of rank {}", dims.len()));
    }
    dims[1] = Dim::constant(weights[0]);
    let x = cx.assert_dims(x, &dims)?;
    let (strides, dilations) = (positive_list(node, "strides", count, 1)?, positive_list(node, "dilations", count, 1)?);
    let spans: Vec<i64> = kernel.iter().zip(&dilations).map(|(size, dilation)| (size - 1) * dilation + 1).collect();
    let padding = transposed_padding(node, &dims[2..], &strides, &spans)?;
    let attrs = Attrs::new()
        .with("strides", strides)
        .with("dilations", dilations)
        .with("before", padding.before)
        .with("after", padding.after)
        .with("output_padding", padding.extra)
        .with("groups", node.int("group", 1).max(1))
        .with("channels_last", false);
    let result = cx.op(Op::ConvTranspose, attrs, &[&x, w])?;
    one(add_bias(cx, &result, node.optional(2)?)?)
}

fn transposed_padding(node: &Node, sizes: &[Dim], strides: &[i64], spans: &[i64]) -> NodeResult<Transposed> {
    let count = sizes.len();
    let mut extra = node.ints("output_padding").filter(|list| !list.is_empty()).unwrap_or(vec![0; count]);
    if extra.len() != count || extra.iter().any(|value| !(0..MAX_EXTENT).contains(value)) {
        return invalid(format!("`output_padding` is {extra:?}"));
    }
    let mode = node.text("auto_pad", "NOTSET");
    let wanted = node.ints("output_shape").filter(|list| !list.is_empty());
    if wanted.is_none() && !mode.starts_with("SAME") {
        let (before, after) = if mode == "VALID" { (vec![0; count], vec![0; count]) } else { explicit_pads(node, count)? };
        return Ok(Transposed { before, after, extra });
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for i in 0..count {
        let wanted = wanted.as_ref().map(|wanted| wanted.get(wanted.len().saturating_sub(count) + i).copied().unwrap_or(0));
        let total = excess(&sizes[i], strides[i], spans[i] + extra[i], wanted)?;
        extra[i] += (-total).max(0);
        let total = total.max(0);
        let (small, large) = (total / 2, total - total / 2);
        let (first, last) = if mode == "SAME_UPPER" { (small, large) } else { (large, small) };
        before.push(first);
        after.push(last);
    }
    Ok(Transposed { before, after, extra })
}

/// The elements by which the full result is longer than wanted; `size * stride` unless given.
fn excess(size: &Dim, stride: i64, span: i64, wanted: Option<i64>) -> NodeResult<i64> {
    let full = (size.clone() - 1.into()) * stride.into() + span.into();
    let wanted = wanted.map_or(size.clone() * stride.into(), Dim::constant);
    let excess = (full - wanted).as_constant();
    excess.ok_or_else(|| NodeError::Unsupported("`output_shape` needs inputs of a fixed size; give one with --shape".to_string()))
}
