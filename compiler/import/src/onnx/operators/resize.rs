//! Resampling.

use super::blend::{Axis, Blend};
use super::shape::sizes;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeError, NodeResult, invalid, unsupported};
use crate::onnx::number::Number;
use crate::onnx::operand::Operand;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;

pub(super) const OPERATORS: &[Operator] = &[Operator::standard("Resize", resize), Operator::standard("Upsample", upsample)];

/// What an axis becomes: its size, and the scale where it is given and is not the ratio of the sizes.
struct Target {
    size: Dim,
    scale: Option<Number>,
}

struct Style {
    mode: String,
    coordinate: String,
    nearest: String,
    cubic_a: f64,
}

fn upsample(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let scales = match node.floats("scales") {
        Some(scales) => scales.iter().map(|scale| number(*scale)).collect::<NodeResult<Vec<Number>>>()?,
        None => scales(node.input(1)?)?,
    };
    resample(cx, x, &scaled(&cx.dims(x), &scales)?, &asymmetric_style(node))
}

fn asymmetric_style(node: &Node) -> Style {
    let mode = node.text("mode", "nearest");
    Style { mode, coordinate: "asymmetric".to_string(), nearest: "floor".to_string(), cubic_a: -0.75 }
}

fn resize(cx: &mut Importer, node: &Node) -> Results {
    const WITH_SIZES_SINCE: i64 = 11;
    let x = node.input(0)?;
    let dims = cx.dims(x);
    if node.opset < WITH_SIZES_SINCE {
        let targets = scaled(&dims, &scales(node.input(1)?)?)?;
        return resample(cx, x, &targets, &asymmetric_style(node));
    }
    let style = style(node)?;
    let axes = match node.ints("axes") {
        Some(axes) => axes.iter().map(|i| axis(*i, dims.len())).collect::<NodeResult<Vec<usize>>>()?,
        None => (0..dims.len()).collect(),
    };
    let own: Vec<Dim> = axes.iter().map(|axis| dims[*axis].clone()).collect();
    let given = if let Some(item) = given(cx, node, 3)? {
        exact(&own, &sizes(item, "the size")?, &node.text("keep_aspect_ratio_policy", "stretch"))?
    } else if let Some(item) = given(cx, node, 2)? {
        scaled(&own, &scales(item)?)?
    } else {
        return invalid("neither scales nor sizes are given");
    };
    let mut targets: Vec<Target> = dims.into_iter().map(|size| Target { size, scale: None }).collect();
    for (axis, target) in axes.into_iter().zip(given) {
        targets[axis] = target;
    }
    if needs_weights(node) {
        return blended(cx, node, x, &targets, style);
    }
    resample(cx, x, &targets, &style)
}

/// Whether the style of resampling is one that only weights can express.
fn needs_weights(node: &Node) -> bool {
    let crops = node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
    let mode = node.text("mode", "nearest");
    crops || (mode != "nearest" && (node.flag("antialias", false) || node.flag("exclude_outside", false)))
}

fn blended(cx: &mut Importer, node: &Node, x: &Operand, targets: &[Target], style: Style) -> Results {
    if style.mode == "nearest" {
        return unsupported("the nearest element of a crop is not supported");
    }
    let blend = Blend {
        antialias: node.flag("antialias", false),
        exclude_outside: node.flag("exclude_outside", false),
        extrapolation: node.float("extrapolation_value", 0.0),
        mode: style.mode,
        coordinate: style.coordinate,
        cubic_a: style.cubic_a,
    };
    let (dims, crops) = (cx.dims(x), crops(node, cx.rank(x))?);
    let mut axes = Vec::new();
    for (axis, target) in targets.iter().enumerate() {
        let scale = match &target.scale {
            None => None,
            Some(scale) => match scale.as_f64() {
                Some(scale) => Some(scale),
                None => return unsupported("scales that depend on the shape are not supported; give sizes instead"),
            },
        };
        if dims[axis] != target.size || scale.is_some() || crops[axis] != (0.0, 1.0) {
            axes.push(Axis { axis, from: dims[axis].clone(), to: target.size.clone(), scale, crop: crops[axis] });
        }
    }
    blend.apply(cx, x, &axes)
}

/// The part of each axis that is cropped.
fn crops(node: &Node, rank: usize) -> NodeResult<Vec<(f64, f64)>> {
    let mut crops = vec![(0.0, 1.0); rank];
    let Some(item) = node.optional(1)?.filter(|_| node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize") else {
        return Ok(crops);
    };
    let Some(roi) = item.floats() else { return unsupported("a crop that depends on the data is not supported") };
    let axes = match node.ints("axes") {
        Some(axes) => axes.iter().map(|i| axis(*i, rank)).collect::<NodeResult<Vec<usize>>>()?,
        None => (0..rank).collect(),
    };
    if roi.len() != 2 * axes.len() {
        return invalid(format!("a crop of {} numbers for {} axes", roi.len(), axes.len()));
    }
    for (i, axis) in axes.iter().enumerate() {
        crops[*axis] = (roi[i], roi[axes.len() + i]);
    }
    Ok(crops)
}

/// An operand that is there and not empty.
fn given<'a>(cx: &Importer, node: &'a Node, position: usize) -> NodeResult<Option<&'a Operand>> {
    Ok(node.optional(position)?.filter(|item| !cx.ty(item).element_count().is(0)))
}

fn style(node: &Node) -> NodeResult<Style> {
    let mode = node.text("mode", "nearest");
    let coordinate = node.text("coordinate_transformation_mode", "half_pixel");
    if coordinate == "tf_half_pixel_for_nn" {
        return unsupported(format!("coordinate transformation `{coordinate}` is not supported"));
    }
    let nearest = node.text("nearest_mode", "round_prefer_floor");
    Ok(Style { mode, coordinate, nearest, cubic_a: node.float("cubic_coeff_a", -0.75) })
}

fn number(scale: f32) -> NodeResult<Number> {
    let number = Number::from_scale(scale).filter(|_| scale > 0.0);
    number.ok_or_else(|| NodeError::Unsupported(format!("the scale {scale} is not supported; give sizes instead")))
}

fn scales(item: &Operand) -> NodeResult<Vec<Number>> {
    if let Some(known) = item.known().filter(|_| item.is_computed()) {
        return Ok(known.values);
    }
    let Some(values) = item.floats() else { return unsupported("scales that depend on the data are not supported") };
    values.iter().map(|value| number(*value as f32)).collect()
}

fn scaled(dims: &[Dim], scales: &[Number]) -> NodeResult<Vec<Target>> {
    if dims.len() != scales.len() {
        return invalid(format!("{} scales are given for {} axes", scales.len(), dims.len()));
    }
    dims.iter().zip(scales).map(|(dim, scale)| scaled_axis(dim, scale)).collect()
}

fn scaled_axis(dim: &Dim, scale: &Number) -> NodeResult<Target> {
    let product = Number::from(dim.clone()).mul(scale);
    let size = product.as_ref().and_then(Number::floor);
    let Some(size) = size.as_ref().and_then(Number::as_dim) else {
        return unsupported("the size of the result is too complex");
    };
    let is_ratio = product.as_ref().and_then(Number::as_dim).is_some();
    Ok(Target { size: size.clone(), scale: (!is_ratio).then(|| scale.clone()) })
}

fn exact(dims: &[Dim], sizes: &[Dim], policy: &str) -> NodeResult<Vec<Target>> {
    if dims.len() != sizes.len() {
        return invalid(format!("{} sizes are given for {} axes", sizes.len(), dims.len()));
    }
    if policy == "stretch" {
        return Ok(sizes.iter().map(|size| Target { size: size.clone(), scale: None }).collect());
    }
    let ratio = |(to, from): (&Dim, &Dim)| Some(to.as_constant()? as f64 / from.as_constant().filter(|size| *size > 0)? as f64);
    let ratios: Option<Vec<f64>> = sizes.iter().zip(dims).map(ratio).collect();
    let Some(ratios) = ratios else { return unsupported("keeping the aspect ratio needs fixed sizes; give one with --shape") };
    let scale = match policy {
        "not_larger" => ratios.iter().copied().fold(f64::INFINITY, f64::min),
        "not_smaller" => ratios.iter().copied().fold(0.0, f64::max),
        _ => return invalid(format!("the policy `{policy}` is not known")),
    };
    let scale = number(scale as f32)?;
    let rounded = |dim: &Dim| {
        let half = Number::fraction(1.into(), 2.into())?;
        let size = Number::from(dim.clone()).mul(&scale)?.add(&half)?.floor()?;
        Some(Target { size: size.as_dim()?.clone(), scale: Some(scale.clone()) })
    };
    let targets: Option<Vec<Target>> = dims.iter().map(rounded).collect();
    targets.ok_or_else(|| NodeError::Unsupported("the size of the result is too complex".to_string()))
}

fn resample(cx: &mut Importer, x: &Operand, targets: &[Target], style: &Style) -> Results {
    let dims: Vec<Dim> = targets.iter().map(|target| target.size.clone()).collect();
    let own = cx.dims(x);
    if own == dims && targets.iter().all(|target| target.scale.is_none()) {
        return one(x.clone());
    }
    let factors: Vec<i64> = own.iter().zip(targets).map(|(from, target)| factor(from, target)).collect();
    let bits = |target: &Target| match &target.scale {
        None => Ok(0),
        Some(scale) => match scale.as_f64() {
            Some(scale) => Ok(scale.to_bits() as i64),
            None => unsupported("scales that depend on the shape are not supported; give sizes instead"),
        },
    };
    let scale_bits = targets.iter().map(bits).collect::<NodeResult<Vec<i64>>>()?;
    let attrs = Attrs::new()
        .with("dims", dims)
        .with("factors", factors)
        .with("scale_bits", scale_bits)
        .with("mode", style.mode.as_str())
        .with("coordinate", style.coordinate.as_str())
        .with("nearest", style.nearest.as_str())
        .with("cubic_a", style.cubic_a);
    one(cx.op(Op::Resize, attrs, &[x])?)
}

/// The whole number that the size is multiplied by, or 0.
fn factor(from: &Dim, target: &Target) -> i64 {
    let quotient = target.size.floor_div(from.clone()).as_constant().filter(|factor| (1..1 << 16).contains(factor));
    let is_exact = |factor: &i64| target.scale.is_none() && from.clone() * Dim::constant(*factor) == target.size;
    quotient.filter(is_exact).unwrap_or(0)
}
