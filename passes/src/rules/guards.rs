//! Conditions that rules name.

use super::functions::class;
use crate::egraph::pattern::Arg;
use crate::egraph::site::{Site, is_identity};
use egg::Id;
use lostwax_ir::types::DType;

/// Whether a condition holds at a site.
pub type Guard = fn(&Site<'_>, &[Arg]) -> bool;

/// The guards whose first argument must be a constant.
pub const CONSTANT: &[&str] = &["const", "splat", "uniform", "slope", "count_of"];

const GUARDS: &[(&str, Guard)] = &[
    ("const", |site, args| first(site, args).is_some_and(|id| site.is_constant(id))),
    ("dynamic", |site, args| first(site, args).is_some_and(|id| !site.is_constant(id))),
    ("float", |site, args| first(site, args).and_then(|id| site.ty(id)).is_some_and(|ty| ty.dtype.is_float())),
    ("splat", is_splat_of),
    ("not_splat", |site, args| first(site, args).is_some_and(|id| site.splat(id).is_none()) || !is_splat_of(site, args)),
    ("uniform", |site, args| first(site, args).is_some_and(|id| site.splat(id).is_some())),
    ("same_type", |site, args| first(site, args).is_some_and(|id| site.ty(id) == site.ty(site.root))),
    ("narrower", |site, args| first(site, args).is_some_and(|id| site.ty(id) != site.ty(site.root))),
    ("identity", |site, args| with_attrs(site, args, |attrs| is_identity(attrs.ints("perm")))),
    ("whole", |site, args| {
        let plain = |attrs: &lostwax_ir::attrs::Attrs| {
            attrs.dims("starts").iter().all(|dim| dim.is(0)) && attrs.ints("steps").iter().all(|step| *step == 1)
        };
        with_attrs(site, args, plain)
    }),
    ("no_pad", |site, args| {
        with_attrs(site, args, |attrs| [attrs.dims("before"), attrs.dims("after")].concat().iter().all(|dim| dim.is(0)))
    }),
    ("ordered", |site, args| with_attrs(site, args, |attrs| attrs.float("min") <= attrs.float("max"))),
    ("hard_swish_gate", |site, args| {
        with_attrs(site, args, |attrs| attrs.float("alpha") as f32 == 1.0 / 6.0 && attrs.float("beta") == 0.5)
    }),
    ("widening", is_widening),
    ("slope", |site, args| first(site, args).and_then(|id| site.splat(id)).is_some_and(|value| value > 0.0 && value < 1.0)),
    ("count_of", is_inverse_count),
    ("reduces_nothing", |site, args| {
        let (Some(attrs), Some(ty)) =
            (first(site, args).and_then(|id| site.attrs_of(id)), second(site, args).and_then(|id| site.ty(id)))
        else {
            return false;
        };
        attrs.ints("axes").iter().all(|axis| ty.dims.get(*axis as usize).is_some_and(|dim| dim.is(1)))
    }),
];

/// The guard of that name.
pub fn from_name(name: &str) -> Option<Guard> {
    GUARDS.iter().find(|(known, _)| *known == name).map(|(_, guard)| *guard)
}

fn first(site: &Site<'_>, args: &[Arg]) -> Option<Id> {
    class(site, args, 0)
}

fn second(site: &Site<'_>, args: &[Arg]) -> Option<Id> {
    class(site, args, 1)
}

fn with_attrs(site: &Site<'_>, args: &[Arg], check: impl Fn(&lostwax_ir::attrs::Attrs) -> bool) -> bool {
    first(site, args).and_then(|id| site.attrs_of(id)).is_some_and(|attrs| check(&attrs))
}

/// `splat(?c, 0.5)`: all elements are this number, rounded to f32.
fn is_splat_of(site: &Site<'_>, args: &[Arg]) -> bool {
    let Some(value) = first(site, args).and_then(|id| site.splat(id)) else { return false };
    args[1..].iter().any(|arg| matches!(arg, Arg::Number(number) if *number as f32 == value as f32))
}

/// `widening(?a, ?x)`: the cast by `?a` represents every value of `?x` exactly.
fn is_widening(site: &Site<'_>, args: &[Arg]) -> bool {
    let (Some(attrs), Some(ty)) =
        (first(site, args).and_then(|id| site.attrs_of(id)), second(site, args).and_then(|id| site.ty(id)))
    else {
        return false;
    };
    let (from, to) = (ty.dtype, attrs.dtype("dtype"));
    let floats = from.is_float() && to.is_float() && (to == DType::F64 || to == from || (to == DType::F32 && from != DType::F64));
    let unsigned = |dtype: DType| dtype.is_integer() && !dtype.is_signed_integer();
    let integers = from.is_integer() && to.is_integer() && (to.size() > from.size()) && (unsigned(from) || !unsigned(to));
    floats || integers || from == to
}

/// `count_of(?c, ?a, ?x)`: `?c` is uniformly `1 / n` where `n` elements of `?x` are reduced by `?a`.
fn is_inverse_count(site: &Site<'_>, args: &[Arg]) -> bool {
    let found = || {
        let (attrs, ty) = (site.attrs_of(class(site, args, 1)?)?, site.ty(class(site, args, 2)?)?);
        let sizes = attrs.ints("axes").iter().map(|axis| ty.dims.get(*axis as usize)?.as_constant());
        let count = sizes.collect::<Option<Vec<i64>>>()?.iter().product::<i64>();
        Some(site.splat(first(site, args)?)? as f32 == (1.0 / count as f64) as f32)
    };
    found().unwrap_or(false)
}
