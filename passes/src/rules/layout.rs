//! Convolutions and windows with channels innermost, between transposes that [`super::sink`] moves on.

use crate::egraph::rule::{Rule, built};
use crate::egraph::site::{RuleMatch, inverse, to_first, to_last};
use crate::tier::Tier::Exact;
use egg::Id;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;

/// The rules.
pub const RULES: &[Rule] = &[
    built("conv_channels_last", Exact, &["(conv ?a ?x ?w)"], &["const(?w)"], conv_channels_last),
    built("conv_transpose_channels_last", Exact, &["(conv_transpose ?a ?x ?w)"], &["const(?w)"], conv_transpose_channels_last),
    built("conv_transpose_blocks", Exact, &["(conv_transpose ?a ?x ?w)"], &["const(?w)"], conv_transpose_blocks),
    built("max_pool_channels_last", Exact, &["(max_pool ?a ?x)"], &[], |site| pool_channels_last(site, Op::MaxPool)),
    built("avg_pool_channels_last", Exact, &["(avg_pool ?a ?x)"], &[], |site| pool_channels_last(site, Op::AvgPool)),
    built("resize_channels_last", Exact, &["(resize ?a ?x)"], &[], resize_channels_last),
];

/// The attributes with channels last, if channels are first.
fn flipped(site: &RuleMatch<'_>) -> Option<Attrs> {
    let attrs = site.attrs("a")?;
    (!attrs.flag("channels_last")).then(|| attrs.as_ref().clone().with("channels_last", true))
}

fn conv_channels_last(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w) = (flipped(site)?, site.var("x")?, site.var("w")?);
    let rank = site.ty(x)?.rank();
    let perm: Vec<i64> = (2..rank as i64).chain([1, 0]).collect();
    convolve(site, Op::Conv, attrs, x, w, &perm)
}

fn conv_transpose_channels_last(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w) = (flipped(site)?, site.var("x")?, site.var("w")?);
    let rank = site.ty(x)?.rank();
    let perm: Vec<i64> = (2..rank as i64).chain([0, 1]).collect();
    convolve(site, Op::ConvTranspose, attrs, x, w, &perm)
}

/// Where the blocks that elements add to do not overlap, each block is the product of one pixel and all weights.
fn conv_transpose_blocks(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x, w) = (site.attrs("a")?, site.var("x")?, site.var("w")?);
    let (pixels, weights) = (site.ty(x)?, site.ty(w)?);
    let count = pixels.rank().checked_sub(2)?;
    let block = weights.dims.get(..count)?.to_vec();
    let touching = block.iter().zip(attrs.ints("strides")).all(|(size, stride)| size.is(*stride));
    let is_all = |name: &str, wanted: i64| attrs.ints(name).iter().all(|value| *value == wanted);
    let whole = ["before", "after", "output_padding"].iter().all(|name| is_all(name, 0)) && is_all("dilations", 1);
    if !attrs.flag("channels_last") || attrs.int("groups") != 1 || !touching || !whole || count == 0 {
        return None;
    }
    let (inputs, outputs) = (weights.dims[count].clone(), weights.dims[count + 1].clone());
    let perm: Vec<i64> = std::iter::once(count as i64).chain(0..count as i64).chain([count as i64 + 1]).collect();
    let columns = product(&block) * outputs.clone();
    let ones = vec![Dim::constant(1); count];
    let matrix = site.transpose(&perm, w)?;
    let matrix = site.reshape([ones, vec![inputs, columns]].concat(), matrix)?;
    let (one, zero) = (vec![1i64; count], vec![0i64; count]);
    let plain = Attrs::new().with("strides", one.clone()).with("dilations", one).with("before", zero.clone());
    let plain = plain.with("after", zero).with("groups", 1i64).with("channels_last", true);
    let blocks = site.add(Op::Conv, Some(plain), &[x, matrix])?;
    interleave(site, blocks, &pixels.dims[..=count], &block, outputs)
}

/// Puts the blocks `x[N, s.., k.. * O]` side by side: `[N, s * k.., O]`.
fn interleave(site: &mut RuleMatch<'_>, x: Id, sizes: &[Dim], block: &[Dim], outputs: Dim) -> Option<Id> {
    let count = block.len() as i64;
    let split = sizes.iter().chain(block).chain([&outputs]).cloned().collect();
    let pairs = (1..=count).flat_map(|axis| [axis, axis + count]);
    let perm: Vec<i64> = std::iter::once(0).chain(pairs).chain([2 * count + 1]).collect();
    let whole = sizes[1..].iter().zip(block).map(|(size, taps)| size.clone() * taps.clone());
    let whole = std::iter::once(sizes[0].clone()).chain(whole).chain([outputs]).collect();
    let split = site.reshape(split, x)?;
    let sorted = site.transpose(&perm, split)?;
    site.reshape(whole, sorted)
}

fn convolve(site: &mut RuleMatch<'_>, op: Op, attrs: Attrs, x: Id, w: Id, weight_perm: &[i64]) -> Option<Id> {
    let rank = weight_perm.len();
    let input = site.transpose(&to_last(rank), x)?;
    let weights = site.transpose(weight_perm, w)?;
    let output = site.add(op, Some(attrs), &[input, weights])?;
    site.transpose(&to_first(rank), output)
}

fn pool_channels_last(site: &mut RuleMatch<'_>, op: Op) -> Option<Id> {
    let (attrs, x) = (flipped(site)?, site.var("x")?);
    let rank = site.ty(x)?.rank();
    let input = site.transpose(&to_last(rank), x)?;
    let output = site.add(op, Some(attrs), &[input])?;
    site.transpose(&to_first(rank), output)
}

/// Only where channels are not resized and not innermost already.
fn resize_channels_last(site: &mut RuleMatch<'_>) -> Option<Id> {
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
