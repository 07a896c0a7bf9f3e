//! Convolutions and windows with channels innermost, between transposes that [`super::sink`] moves on.

use super::{Rule, built};
use crate::egraph::site::{Site, inverse};
use crate::pass::Tier::Exact;
use egg::Id;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;

/// The rules.
pub const RULES: &[Rule] = &[
    built("conv_channels_last", Exact, &["(conv ?a ?x ?w)"], &["const(?w)"], conv_channels_last),
    built("conv_transpose_channels_last", Exact, &["(conv_transpose ?a ?x ?w)"], &["const(?w)"], conv_transpose_channels_last),
    built("max_pool_channels_last", Exact, &["(max_pool ?a ?x)"], &[], |site| pool_channels_last(site, Op::MaxPool)),
    built("avg_pool_channels_last", Exact, &["(avg_pool ?a ?x)"], &[], |site| pool_channels_last(site, Op::AvgPool)),
    built("resize_channels_last", Exact, &["(resize ?a ?x)"], &[], resize_channels_last),
];

/// The permutation that moves channels from second to last.
pub fn to_last(rank: usize) -> Vec<i64> {
    let spatial = (2..rank).map(|axis| axis as i64);
    std::iter::once(0).chain(spatial).chain([1]).collect()
}

/// The permutation that moves channels from last to second.
pub fn to_first(rank: usize) -> Vec<i64> {
    inverse(&to_last(rank))
}

/// The attributes with channels last, if channels are first.
fn flipped(site: &Site<'_>) -> Option<Attrs> {
    let attrs = site.attrs("a")?;
    (!attrs.flag("channels_last")).then(|| attrs.as_ref().clone().with("channels_last", true))
}

fn conv_channels_last(site: &mut Site<'_>) -> Option<Id> {
    let (attrs, x, w) = (flipped(site)?, site.var("x")?, site.var("w")?);
    let rank = site.ty(x)?.rank();
    let perm: Vec<i64> = (2..rank as i64).chain([1, 0]).collect();
    convolve(site, Op::Conv, attrs, x, w, &perm)
}

fn conv_transpose_channels_last(site: &mut Site<'_>) -> Option<Id> {
    let (attrs, x, w) = (flipped(site)?, site.var("x")?, site.var("w")?);
    let rank = site.ty(x)?.rank();
    let perm: Vec<i64> = (2..rank as i64).chain([0, 1]).collect();
    convolve(site, Op::ConvTranspose, attrs, x, w, &perm)
}

fn convolve(site: &mut Site<'_>, op: Op, attrs: Attrs, x: Id, w: Id, weight_perm: &[i64]) -> Option<Id> {
    let rank = weight_perm.len();
    let input = site.transpose(&to_last(rank), x)?;
    let weights = site.transpose(weight_perm, w)?;
    let output = site.add(op, Some(attrs), &[input, weights])?;
    site.transpose(&to_first(rank), output)
}

fn pool_channels_last(site: &mut Site<'_>, op: Op) -> Option<Id> {
    let (attrs, x) = (flipped(site)?, site.var("x")?);
    let rank = site.ty(x)?.rank();
    let input = site.transpose(&to_last(rank), x)?;
    let output = site.add(op, Some(attrs), &[input])?;
    site.transpose(&to_first(rank), output)
}

/// Only where channels are not resized and not innermost already.
fn resize_channels_last(site: &mut Site<'_>) -> Option<Id> {
    let (attrs, x) = (site.attrs("a")?, site.var("x")?);
    let ty = site.ty(x)?;
    let dims = attrs.dims("dims");
    let rank = ty.rank();
    if rank < 3 || ty.dims[1] != dims[1] || ty.dims.last() == dims.last() {
        return None;
    }
    let perm = to_last(rank);
    let input = site.transpose(&perm, x)?;
    let output = site.add(Op::Resize, Some(super::sink::permute_attrs(&attrs, &inverse(&perm))), &[input])?;
    site.transpose(&to_first(rank), output)
}
