//! Windows put back into images.

use super::pool::window_of;
use super::scatter::replace_rows;
use super::shape::sizes;
use super::window::{MAX_EXTENT, explicit_pads, positive_list};
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::{NodeError, NodeResult, invalid, limit};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] =
    &[Operator::standard("Col2Im", columns_to_image), Operator::standard("MaxUnpool", max_unpool)];

fn fixed(node: &Node, position: usize, what: &str) -> NodeResult<Vec<i64>> {
    let sizes: Option<Vec<i64>> = sizes(node.input(position)?, what)?.iter().map(Dim::as_constant).collect();
    let sizes = sizes.filter(|sizes| sizes.iter().all(|size| (1..MAX_EXTENT).contains(size)));
    sizes.ok_or_else(|| NodeError::Unsupported(format!("{what} must be fixed positive numbers")))
}

/// A transposed convolution whose weights are 1 where a column of the operand belongs and 0 elsewhere.
fn columns_to_image(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let (image, block) = (fixed(node, 1, "the shape of the image")?, fixed(node, 2, "the shape of a block")?);
    let (dims, count) = (cx.dims(x), block.len());
    let columns = block.iter().product::<i64>();
    let channels = dims.get(1).and_then(Dim::as_constant).filter(|channels| channels % columns == 0 && *channels > 0);
    let Some(channels) = channels.filter(|_| dims.len() == 3 && image.len() == count) else {
        return invalid(format!("columns of shape {dims:?} do not fit blocks {block:?} of an image {image:?}"));
    };
    let (strides, dilations) = (positive_list(node, "strides", count, 1)?, positive_list(node, "dilations", count, 1)?);
    let (before, after) = explicit_pads(node, count)?;
    let mut split = dims[..2].to_vec();
    let mut extra = Vec::new();
    for i in 0..count {
        let free = image[i] + before[i] + after[i] - dilations[i] * (block[i] - 1) - 1;
        if free < 0 {
            return invalid(format!("blocks {block:?} are larger than the image {image:?}"));
        }
        split.push((free / strides[i] + 1).into());
        extra.push(free % strides[i]);
    }
    let x = cx.reshape(x, &split)?;
    let weights = unit_blocks(cx, channels, &block)?;
    let weights = cx.cast(&weights, cx.dtype(&x))?;
    let attrs = Attrs::new().with("strides", strides).with("dilations", dilations).with("before", before).with("after", after);
    let attrs = attrs.with("output_padding", extra).with("groups", channels / columns).with("channels_last", false);
    one(cx.op(Op::ConvTranspose, attrs, &[&x, &weights])?)
}

/// Weights [channels, 1, block..] that put each channel at its own place of the block.
fn unit_blocks(cx: &mut Importer, channels: i64, block: &[i64]) -> NodeResult<Operand> {
    let columns = block.iter().product::<i64>();
    let count = usize::try_from(channels.saturating_mul(columns)).unwrap_or(usize::MAX);
    cx.reserve(count.saturating_mul(4))?;
    let values: Vec<f32> = (0..count as i64).map(|i| f32::from(u8::from(i / columns % columns == i % columns))).collect();
    let shape: Vec<usize> = [&[channels, 1], block].concat().iter().map(|size| *size as usize).collect();
    match Tensor::f32(&shape, &values) {
        Some(tensor) => Ok(tensor.into()),
        None => limit(format!("blocks {block:?} of {channels} channels")),
    }
}

fn max_unpool(cx: &mut Importer, node: &Node) -> Results {
    let (x, positions) = (node.input(0)?, node.input(1)?);
    let dims = cx.dims(x);
    let wanted = match node.optional(2)? {
        Some(shape) => sizes(shape, "the shape of the result")?,
        None => {
            let window = window_of(cx, node)?;
            let size = |i: usize| -> Dim {
                let padding = window.before[i].clone() + window.after[i].clone();
                (dims[i + 2].clone() - 1.into()) * window.strides[i].into() + window.span(i).into() - padding
            };
            [dims[..2].to_vec(), (0..window.kernel.len()).map(size).collect()].concat()
        }
    };
    let (count, updates) = (product(&dims), [product(&dims), 1.into()]);
    let empty = cx.full(cx.dtype(x), &[product(&wanted), 1.into()], 0.0)?;
    let positions = cx.cast(positions, DType::I64)?;
    let (positions, updates) = (cx.reshape(&positions, &[count])?, cx.reshape(x, &updates)?);
    let result = replace_rows(cx, &empty, &positions, &updates)?;
    one(cx.reshape(&result, &wanted)?)
}
