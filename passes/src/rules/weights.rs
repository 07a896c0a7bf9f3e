//! Scales and shifts by constants move into weights.

use crate::egraph::rule::{Rule, built, rule};
use crate::egraph::site::RuleMatch;
use crate::tier::Tier::{Contract, Exact, Reassociate};
use egg::Id;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::TensorType;

// Neutral constants are excluded where they would let a rule match its own result for ever: `x + 0` is in the class of `x`.
const FACTOR: &[&str] = &["const(?w)", "const(?s)", "not_splat(?s, 1)", "dynamic(?x)", "float(?w)"];
const SHIFT: &[&str] = &["const(?w)", "const(?s)", "not_splat(?s, 0)", "dynamic(?x)", "float(?w)"];
const SUMMANDS: &[&str] = &["const(?c)", "const(?d)", "not_splat(?c, 0)", "not_splat(?d, 0)", "dynamic(?x)"];
const FACTORS: &[&str] = &["const(?c)", "const(?d)", "not_splat(?c, 1)", "not_splat(?d, 1)", "dynamic(?x)"];
const SUMMAND_AND_FACTOR: &[&str] =
    &["const(?c)", "const(?d)", "not_splat(?c, 0)", "not_splat(?d, 1)", "dynamic(?x)", "float(?c)"];
const MATRICES: &[&str] = &["const(?c)", "const(?d)", "dynamic(?x)", "float(?c)"];

/// The rules.
pub const RULES: &[Rule] = &[
    rule("add_constants", Reassociate, &["(add (add ?x ?c) ?d)"], SUMMANDS, "(add ?x (add ?c ?d))"),
    rule("mul_constants", Reassociate, &["(mul (mul ?x ?c) ?d)"], FACTORS, "(mul ?x (mul ?c ?d))"),
    rule("distribute_constant", Reassociate, &["(mul (add ?x ?c) ?d)"], SUMMAND_AND_FACTOR, "(add (mul ?x ?d) (mul ?c ?d))"),
    rule("constant_sub_add", Reassociate, &["(sub ?c (add ?x ?d))"], SUMMANDS, "(sub (sub ?c ?d) ?x)"),
    rule("neg_mul", Exact, &["(neg (mul ?x ?c))", "(mul (neg ?x) ?c)"], &["const(?c)", "float(?c)"], "(mul ?x (neg ?c))"),
    rule("neg_conv", Exact, &["(neg (conv ?a ?x ?w))"], &["const(?w)", "dynamic(?x)"], "(conv ?a ?x (neg ?w))"),
    rule("neg_matmul", Exact, &["(neg (matmul ?x ?w))"], &["const(?w)", "dynamic(?x)"], "(matmul ?x (neg ?w))"),
    rule("neg_add", Exact, &["(neg (add ?x ?c))"], &["const(?c)", "not_splat(?c, 0)", "dynamic(?x)"], "(add (neg ?x) (neg ?c))"),
    rule(
        "sub_product",
        Contract,
        &["(sub ?y (mul ?x ?c))"],
        &["const(?c)", "float(?c)", "dynamic(?x)"],
        "(add ?y (mul ?x (neg ?c)))",
    ),
    built("conv_scale", Reassociate, &["(mul (conv ?a ?x ?w) ?s)"], FACTOR, conv_scale),
    built("conv_transpose_scale", Reassociate, &["(mul (conv_transpose ?a ?x ?w) ?s)"], FACTOR, conv_transpose_scale),
    built("conv_input_scale", Reassociate, &["(conv ?a (mul ?x ?s) ?w)"], FACTOR, conv_input_scale),
    built("conv_input_shift", Reassociate, &["(conv ?a (add ?x ?s) ?w)"], SHIFT, conv_input_shift),
    built("conv_pad", Exact, &["(conv ?a (pad ?p ?x) ?w)"], &[], conv_pad),
    built("matmul_scale", Reassociate, &["(mul (matmul ?x ?w) ?s)"], FACTOR, matmul_scale),
    built("matmul_left_scale", Reassociate, &["(mul (matmul ?w ?x) ?s)"], FACTOR, matmul_left_scale),
    built("matmul_input_scale", Reassociate, &["(matmul (mul ?x ?s) ?w)"], FACTOR, matmul_input_scale),
    built("matmul_input_shift", Reassociate, &["(matmul (add ?x ?s) ?w)"], SHIFT, matmul_input_shift),
    rule("matmul_constants", Reassociate, &["(matmul (matmul ?x ?c) ?d)"], MATRICES, "(matmul ?x (matmul ?c ?d))"),
];

/// Whether all dims but that of `axis` are 1.
fn varies_only_along(ty: &TensorType, axis: usize) -> bool {
    ty.dims.iter().enumerate().all(|(position, dim)| position == axis || dim.is(1))
}

/// The axis of channels of a value of a convolution.
fn channel_axis(attrs: &Attrs, rank: usize) -> usize {
    if attrs.flag("channels_last") { rank - 1 } else { 1 }
}

/// `x` with its only wide axis at `to` instead of `from`.
fn move_axis(site: &mut RuleMatch<'_>, x: Id, from: usize, to: usize) -> Option<Id> {
    let ty = site.ty(x)?;
    let mut dims: Vec<Dim> = vec![1.into(); ty.rank()];
    dims[to] = ty.dims[from].clone();
    site.reshape(dims, x)
}

/// The variables `a`, `x`, `w`, `s` and the rank, if `s` varies only along channels.
fn channel_parts(site: &RuleMatch<'_>) -> Option<(Attrs, Id, Id, Id, usize)> {
    let (attrs, x, w, s) = (site.attrs("a")?, site.var("x")?, site.var("w")?, site.var("s")?);
    let ty = site.ty(s)?;
    let fits = varies_only_along(&ty, channel_axis(&attrs, ty.rank()));
    fits.then(|| (attrs.as_ref().clone(), x, w, s, ty.rank()))
}

fn conv_scale(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w, s, rank) = channel_parts(site)?;
    let to = if attrs.flag("channels_last") { rank - 1 } else { 0 };
    let factor = move_axis(site, s, channel_axis(&attrs, rank), to)?;
    let scaled = site.add(Op::Mul, None, &[w, factor])?;
    site.add(Op::Conv, Some(attrs), &[x, scaled])
}

fn conv_transpose_scale(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w, s, _) = channel_parts(site)?;
    if attrs.int("groups") != 1 && site.splat(s).is_none() {
        return None;
    }
    let scaled = site.add(Op::Mul, None, &[w, s])?;
    site.add(Op::ConvTranspose, Some(attrs), &[x, scaled])
}

/// The weights times a factor per input channel.
fn weights_by_input(site: &mut RuleMatch<'_>, attrs: &Attrs, w: Id, s: Id, rank: usize) -> Option<Id> {
    if attrs.int("groups") != 1 && !site.ty(s)?.dims.iter().all(|dim| dim.is(1)) {
        return None;
    }
    let to = if attrs.flag("channels_last") { rank - 2 } else { 1 };
    let factor = move_axis(site, s, channel_axis(attrs, rank), to)?;
    site.add(Op::Mul, None, &[w, factor])
}

fn conv_input_scale(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w, s, rank) = channel_parts(site)?;
    let scaled = weights_by_input(site, &attrs, w, s, rank)?;
    site.add(Op::Conv, Some(attrs), &[x, scaled])
}

/// Sound only without zero padding, which is not shifted.
fn conv_input_shift(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w, s, rank) = channel_parts(site)?;
    if [attrs.ints("before"), attrs.ints("after")].concat().iter().any(|pad| *pad != 0) {
        return None;
    }
    let products = weights_by_input(site, &attrs, w, s, rank)?;
    let out = if attrs.flag("channels_last") { rank - 1 } else { 0 };
    let axes: Vec<i64> = (0..rank).filter(|axis| *axis != out).map(|axis| axis as i64).collect();
    let sum = site.add(Op::ReduceSum, Some(Attrs::new().with("axes", axes)), &[products])?;
    let shift = move_axis(site, sum, out, channel_axis(&attrs, rank))?;
    let product = site.add(Op::Conv, Some(attrs), &[x, w])?;
    site.add(Op::Add, None, &[product, shift])
}

/// Zero padding of spatial dims is done by the convolution.
fn conv_pad(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, pad, x, w) = (site.attrs("a")?, site.attrs("p")?, site.var("x")?, site.var("w")?);
    let rank = site.ty(x)?.rank();
    if pad.text("mode") != "constant" || pad.float("value") != 0.0 {
        return None;
    }
    let spatial = if attrs.flag("channels_last") { 1..rank - 1 } else { 2..rank };
    let sum = |name: &str| -> Option<Vec<i64>> {
        let added: Vec<i64> = pad.dims(name).iter().map(Dim::as_constant).collect::<Option<_>>()?;
        let outside = added.iter().enumerate().any(|(axis, count)| !spatial.contains(&axis) && *count != 0);
        let inside = attrs.ints(name).iter().zip(&added[spatial.clone()]);
        (!outside).then(|| inside.map(|(a, b)| a + b).collect())
    };
    let padded = attrs.as_ref().clone().with("before", sum("before")?).with("after", sum("after")?);
    site.add(Op::Conv, Some(padded), &[x, w])
}

/// The variables `x`, `w`, `s` and the rank, if `s` varies only along the axis that many before the end.
fn matrix_parts(site: &RuleMatch<'_>, from_end: usize) -> Option<(Id, Id, Id, usize)> {
    let (x, w, s) = (site.var("x")?, site.var("w")?, site.var("s")?);
    let ty = site.ty(s)?;
    varies_only_along(&ty, ty.rank().checked_sub(from_end)?).then(|| (x, w, s, ty.rank()))
}

fn matmul_scale(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (x, w, s, _) = matrix_parts(site, 1)?;
    let scaled = site.add(Op::Mul, None, &[w, s])?;
    site.add(Op::MatMul, None, &[x, scaled])
}

fn matmul_left_scale(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (x, w, s, _) = matrix_parts(site, 2)?;
    let scaled = site.add(Op::Mul, None, &[w, s])?;
    site.add(Op::MatMul, None, &[scaled, x])
}

fn matmul_input_scale(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (x, w, s, rank) = matrix_parts(site, 1)?;
    let factor = move_axis(site, s, rank - 1, rank - 2)?;
    let scaled = site.add(Op::Mul, None, &[w, factor])?;
    site.add(Op::MatMul, None, &[x, scaled])
}

fn matmul_input_shift(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (x, w, s, rank) = matrix_parts(site, 1)?;
    let factor = move_axis(site, s, rank - 1, rank - 2)?;
    let products = site.add(Op::Mul, None, &[w, factor])?;
    let axes = vec![rank as i64 - 2];
    let shift = site.add(Op::ReduceSum, Some(Attrs::new().with("axes", axes)), &[products])?;
    let product = site.add(Op::MatMul, None, &[x, w])?;
    site.add(Op::Add, None, &[product, shift])
}
