//! Functions that compute attributes on the right side of rules.

use super::pattern::Arg;
use super::site::RuleMatch;
use egg::Id;
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::Dim;

/// Computes attributes; `None` where the rule does not apply.
pub type AttrFunction = fn(&RuleMatch<'_>, &[Arg]) -> Option<Attrs>;

const FUNCTIONS: &[(&str, AttrFunction)] = &[
    ("compose", compose),
    ("dims", |site, _| Some(Attrs::new().with("dims", site.ty(site.root)?.dims.clone()))),
    ("slice_of_slice", slice_of_slice),
    ("pad_of_pad", pad_of_pad),
    ("clip_of_clip", |site, args| {
        let (outer, inner) = (attrs(site, args, 0)?, attrs(site, args, 1)?);
        Some(joined_limits(&outer, &inner))
    }),
    ("clip_positive", |site, args| Some(joined_limits(&limits(0.0, f64::INFINITY), attrs(site, args, 0)?.as_ref()))),
    ("clip_of_positive", |site, args| Some(joined_limits(attrs(site, args, 0)?.as_ref(), &limits(0.0, f64::INFINITY)))),
    ("limits", |site, args| Some(limits(number(site, args, 0)?, number(site, args, 1)?))),
    ("value", value),
    ("hard_sigmoid", |site, args| Some(Attrs::new().with("alpha", number(site, args, 0)?).with("beta", number(site, args, 1)?))),
    ("alpha", |site, args| Some(Attrs::new().with("alpha", number(site, args, 0)?))),
    ("axes_union", |site, args| {
        let mut axes = [attrs(site, args, 0)?.ints("axes"), attrs(site, args, 1)?.ints("axes")].concat();
        axes.sort_unstable();
        axes.dedup();
        Some(Attrs::new().with("axes", axes))
    }),
];

/// The function of that name.
pub fn from_name(name: &str) -> Option<AttrFunction> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}

/// The class of an argument that is a variable.
pub(super) fn class(site: &RuleMatch<'_>, args: &[Arg], position: usize) -> Option<Id> {
    match args.get(position)? {
        Arg::Var(number) => site.variables.get(*number as usize).copied().flatten(),
        Arg::Number(_) => None,
    }
}

fn attrs(site: &RuleMatch<'_>, args: &[Arg], position: usize) -> Option<std::sync::Arc<Attrs>> {
    site.attrs_of(class(site, args, position)?)
}

/// An argument that is a number or a uniform constant.
fn number(site: &RuleMatch<'_>, args: &[Arg], position: usize) -> Option<f64> {
    match args.get(position)? {
        Arg::Number(number) => Some(*number),
        Arg::Var(_) => site.splat(class(site, args, position)?),
    }
}

/// `compose(?p, ?q)`: the permutation of a transpose by `?p` of a transpose by `?q`.
fn compose(site: &RuleMatch<'_>, args: &[Arg]) -> Option<Attrs> {
    let (outer, inner) = (attrs(site, args, 0)?, attrs(site, args, 1)?);
    let at = |axis: &i64| inner.ints("perm").get(*axis as usize).copied();
    let perm: Vec<i64> = outer.ints("perm").iter().map(at).collect::<Option<_>>()?;
    Some(Attrs::new().with("perm", perm))
}

/// `slice_of_slice(?a, ?b)`: the slice by `?a` of a slice by `?b`.
fn slice_of_slice(site: &RuleMatch<'_>, args: &[Arg]) -> Option<Attrs> {
    let (outer, inner) = (attrs(site, args, 0)?, attrs(site, args, 1)?);
    let zip = outer.dims("starts").iter().zip(inner.dims("starts")).zip(inner.ints("steps"));
    let starts: Vec<Dim> = zip.map(|((start, base), step)| base.clone() + start.clone() * (*step).into()).collect();
    let steps: Option<Vec<i64>> = outer.ints("steps").iter().zip(inner.ints("steps")).map(|(a, b)| a.checked_mul(*b)).collect();
    Some(outer.as_ref().clone().with("starts", starts).with("steps", steps?))
}

/// `pad_of_pad(?a, ?b)`: two constant paddings with one value as one.
fn pad_of_pad(site: &RuleMatch<'_>, args: &[Arg]) -> Option<Attrs> {
    let (outer, inner) = (attrs(site, args, 0)?, attrs(site, args, 1)?);
    if outer.text("mode") != "constant" || inner.text("mode") != "constant" || outer.get("value") != inner.get("value") {
        return None;
    }
    let sum =
        |name: &str| -> Vec<Dim> { outer.dims(name).iter().zip(inner.dims(name)).map(|(a, b)| a.clone() + b.clone()).collect() };
    Some(outer.as_ref().clone().with("before", sum("before")).with("after", sum("after")))
}

fn limits(low: f64, high: f64) -> Attrs {
    Attrs::new().with("min", low).with("max", high)
}

/// The limits of a clip by `outer` of a clip by `inner`; the limits of both are ordered.
fn joined_limits(outer: &Attrs, inner: &Attrs) -> Attrs {
    let clip = |value: f64| value.max(outer.float("min")).min(outer.float("max"));
    limits(clip(inner.float("min")), clip(inner.float("max")))
}

/// `value(?x, 0.5)`: a uniform constant with the element type and rank of `?x` and one element.
fn value(site: &RuleMatch<'_>, args: &[Arg]) -> Option<Attrs> {
    let ty = site.ty(class(site, args, 0)?)?;
    let dims: Vec<Dim> = vec![1.into(); ty.rank()];
    Some(Attrs::new().with("value", Attr::float(number(site, args, 1)?)).with("dtype", ty.dtype).with("dims", dims))
}
