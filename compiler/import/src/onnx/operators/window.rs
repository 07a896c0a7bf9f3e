//! Windows that slide over the spatial axes: what convolutions and pooling have in common.

use super::{Importer, Node};
use crate::onnx::node_error::{NodeError, NodeResult, invalid, limit, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;

/// The largest window, step or padding.
pub(super) const MAX_EXTENT: i64 = 1 << 24;

/// A window with its movement and the padding around the image.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) kernel: Vec<i64>,
    pub(super) strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
    pub(super) before: Vec<Dim>,
    pub(super) after: Vec<Dim>,
}

/// A list of positive numbers for each spatial axis.
pub(super) fn positive_list(node: &Node, name: &str, count: usize, default: i64) -> NodeResult<Vec<i64>> {
    let list = node.ints(name).filter(|list| !list.is_empty()).unwrap_or(vec![default; count]);
    if list.len() == count && list.iter().all(|value| (1..=MAX_EXTENT).contains(value)) {
        return Ok(list);
    }
    invalid(format!("`{name}` is {list:?}; {count} positive numbers are expected"))
}

/// Padding from the attribute `pads`, before and after each spatial axis.
pub(super) fn explicit_pads(node: &Node, count: usize) -> NodeResult<(Vec<i64>, Vec<i64>)> {
    let pads = node.ints("pads").filter(|pads| !pads.is_empty()).unwrap_or(vec![0; 2 * count]);
    if pads.len() != 2 * count || pads.iter().any(|pad| pad.unsigned_abs() > MAX_EXTENT as u64) {
        return invalid(format!("`pads` is {pads:?}; {} numbers are expected", 2 * count));
    }
    if pads.iter().any(|pad| *pad < 0) {
        return unsupported("negative padding is not supported; slice the operand instead");
    }
    Ok((pads[..count].to_vec(), pads[count..].to_vec()))
}

impl Window {
    /// The window of a node over `x`.
    pub(super) fn new(cx: &Importer, node: &Node, x: &Operand, kernel: Vec<i64>) -> NodeResult<Self> {
        let count = kernel.len();
        let dims = cx.dims(x);
        if dims.len() != count + 2 || count == 0 {
            return invalid(format!("a window of {count} axes does not fit an operand of rank {}", dims.len()));
        }
        if kernel.iter().any(|size| *size > MAX_EXTENT) {
            return limit(format!("a window of size {kernel:?}"));
        }
        let (strides, dilations) = (positive_list(node, "strides", count, 1)?, positive_list(node, "dilations", count, 1)?);
        let mut window = Self { kernel, strides, dilations, before: Vec::new(), after: Vec::new() };
        match node.text("auto_pad", "NOTSET").as_str() {
            "NOTSET" | "" => {
                let (before, after) = explicit_pads(node, count)?;
                window.before = before.into_iter().map(Dim::from).collect();
                window.after = after.into_iter().map(Dim::from).collect();
            }
            "VALID" => (window.before, window.after) = (vec![0.into(); count], vec![0.into(); count]),
            "SAME_UPPER" => (window.before, window.after) = window.same_pads(&dims[2..]),
            "SAME_LOWER" => (window.after, window.before) = window.same_pads(&dims[2..]),
            other => return invalid(format!("auto_pad `{other}` is not known")),
        }
        Ok(window)
    }

    /// The number of elements that the window spans along spatial axis `i`.
    pub(super) fn span(&self, i: usize) -> i64 {
        (self.kernel[i] - 1) * self.dilations[i] + 1
    }

    /// The smaller and the larger half of the padding that gives `ceil(size / stride)` results.
    fn same_pads(&self, sizes: &[Dim]) -> (Vec<Dim>, Vec<Dim>) {
        let total = |(i, size): (usize, &Dim)| {
            let last = (size.ceil_div(self.strides[i]) - 1.into()) * self.strides[i].into();
            (last + self.span(i).into() - size.clone()).maximum(0)
        };
        let halves = sizes.iter().enumerate().map(total).map(|total| (total.floor_div(2), total.ceil_div(2)));
        halves.unzip()
    }

    /// Makes padding that is not constant part of the operand.
    pub(super) fn fix_padding(&mut self, cx: &mut Importer, x: &Operand, value: f64) -> NodeResult<Operand> {
        let is_fixed = self.before.iter().chain(&self.after).all(|dim| dim.as_constant().is_some());
        if is_fixed { Ok(x.clone()) } else { self.pad_operand(cx, x, value) }
    }

    /// Makes all padding part of the operand.
    pub(super) fn pad_operand(&mut self, cx: &mut Importer, x: &Operand, value: f64) -> NodeResult<Operand> {
        let count = self.kernel.len();
        let all = |pads: &mut Vec<Dim>| {
            let spatial = std::mem::replace(pads, vec![0.into(); count]);
            [vec![Dim::constant(0); 2], spatial].concat()
        };
        let (before, after) = (all(&mut self.before), all(&mut self.after));
        cx.pad(x, before, after, "constant", value)
    }

    /// The attributes that all window ops share.
    pub(super) fn attrs(&self) -> NodeResult<Attrs> {
        let list = |dims: &[Dim]| {
            let values: Option<Vec<i64>> = dims.iter().map(Dim::as_constant).collect();
            values.ok_or_else(|| NodeError::Unsupported("padding that depends on the input's size is not supported".to_string()))
        };
        Ok(Attrs::new()
            .with("strides", self.strides.clone())
            .with("dilations", self.dilations.clone())
            .with("before", list(&self.before)?)
            .with("after", list(&self.after)?)
            .with("channels_last", false))
    }
}
