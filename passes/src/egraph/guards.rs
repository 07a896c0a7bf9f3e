//! Conditions that rules name.

use super::functions::class;
use super::pattern::Arg;
use super::site::{RuleMatch, is_identity};
use egg::Id;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::types::DType;

/// A condition that rules name.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// The name, as in `splat(?c, 0.5)`.
    pub name: &'static str,
    /// The arguments and when it holds.
    pub doc: &'static str,
    /// Whether the first argument must be a constant for it to hold.
    pub needs_constant: bool,
    /// Whether it holds at a site.
    pub holds: fn(&RuleMatch<'_>, &[Arg]) -> bool,
}

/// A guard that may hold for any value.
const fn any(name: &'static str, doc: &'static str, holds: fn(&RuleMatch<'_>, &[Arg]) -> bool) -> Guard {
    Guard { name, doc, needs_constant: false, holds }
}

/// A guard that holds for constants only.
const fn constant(name: &'static str, doc: &'static str, holds: fn(&RuleMatch<'_>, &[Arg]) -> bool) -> Guard {
    Guard { name, doc, needs_constant: true, holds }
}

/// All guards. A rule that needs another condition adds a guard here.
pub const GUARDS: &[Guard] = &[
    constant("const", "(x): x depends on constants only", |site, args| first(site, args).is_some_and(|id| site.is_constant(id))),
    any("dynamic", "(x): x is not known before the model runs", |site, args| {
        first(site, args).is_some_and(|id| !site.is_constant(id))
    }),
    any("float", "(x): elements are floating-point numbers", |site, args| {
        first(site, args).and_then(|id| site.ty(id)).is_some_and(|ty| ty.dtype.is_float())
    }),
    constant("splat", "(x, numbers..): all elements are one of the numbers, rounded to f32", is_splat_of),
    any("not_splat", "(x, numbers..): not all elements are known to be one of the numbers", |site, args| {
        first(site, args).is_some_and(|id| site.splat(id).is_none()) || !is_splat_of(site, args)
    }),
    constant("uniform", "(x): all elements are equal", |site, args| first(site, args).is_some_and(|id| site.splat(id).is_some())),
    any("same_type", "(x): x has the type of the result", |site, args| {
        first(site, args).is_some_and(|id| site.ty(id) == site.ty(site.root))
    }),
    any("narrower", "(x): x has another type than the result, so that it is broadcast", |site, args| {
        first(site, args).is_some_and(|id| site.ty(id) != site.ty(site.root))
    }),
    any("identity", "(a): the permutation of a transpose changes nothing", |site, args| {
        with_attrs(site, args, |attrs| is_identity(attrs.ints("perm")))
    }),
    any("whole", "(a): a slice begins at 0 in steps of 1", |site, args| with_attrs(site, args, starts_whole)),
    any("no_pad", "(a): a padding adds nothing", |site, args| with_attrs(site, args, adds_nothing)),
    any("ordered", "(a): the limits of a clip are in order", |site, args| {
        with_attrs(site, args, |attrs| attrs.float("min") <= attrs.float("max"))
    }),
    any("hard_swish_gate", "(a): the hard sigmoid is that of a hard swish", |site, args| {
        with_attrs(site, args, |attrs| attrs.float("alpha") as f32 == 1.0 / 6.0 && attrs.float("beta") == 0.5)
    }),
    any("widening", "(a, x): the cast by a represents every value of x exactly", is_widening),
    constant("slope", "(x): all elements are one number between 0 and 1", |site, args| {
        first(site, args).and_then(|id| site.splat(id)).is_some_and(|value| value > 0.0 && value < 1.0)
    }),
    constant("count_of", "(c, a, x): c is uniformly 1 / n where n elements of x are reduced by a", is_inverse_count),
    any("reduces_nothing", "(a, x): the axes that a reduces have size 1 in x", reduces_nothing),
];

/// The guard of that name.
pub fn from_name(name: &str) -> Option<&'static Guard> {
    GUARDS.iter().find(|guard| guard.name == name)
}

fn first(site: &RuleMatch<'_>, args: &[Arg]) -> Option<Id> {
    class(site, args, 0)
}

fn second(site: &RuleMatch<'_>, args: &[Arg]) -> Option<Id> {
    class(site, args, 1)
}

fn with_attrs(site: &RuleMatch<'_>, args: &[Arg], check: impl Fn(&Attrs) -> bool) -> bool {
    first(site, args).and_then(|id| site.attrs_of(id)).is_some_and(|attrs| check(&attrs))
}

fn starts_whole(attrs: &Attrs) -> bool {
    attrs.dims("starts").iter().all(|dim| dim.is(0)) && attrs.ints("steps").iter().all(|step| *step == 1)
}

fn adds_nothing(attrs: &Attrs) -> bool {
    attrs.dims("before").iter().chain(attrs.dims("after")).all(|dim: &Dim| dim.is(0))
}

fn reduces_nothing(site: &RuleMatch<'_>, args: &[Arg]) -> bool {
    let (Some(attrs), Some(ty)) =
        (first(site, args).and_then(|id| site.attrs_of(id)), second(site, args).and_then(|id| site.ty(id)))
    else {
        return false;
    };
    attrs.ints("axes").iter().all(|axis| ty.dims.get(*axis as usize).is_some_and(|dim| dim.is(1)))
}

/// `splat(?c, 0.5)`: all elements are this number, rounded to f32.
fn is_splat_of(site: &RuleMatch<'_>, args: &[Arg]) -> bool {
    let Some(value) = first(site, args).and_then(|id| site.splat(id)) else { return false };
    args[1..].iter().any(|arg| matches!(arg, Arg::Number(number) if *number as f32 == value as f32))
}

/// `widening(?a, ?x)`: the cast by `?a` represents every value of `?x` exactly.
fn is_widening(site: &RuleMatch<'_>, args: &[Arg]) -> bool {
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
fn is_inverse_count(site: &RuleMatch<'_>, args: &[Arg]) -> bool {
    let found = || {
        let (attrs, ty) = (site.attrs_of(class(site, args, 1)?)?, site.ty(class(site, args, 2)?)?);
        let sizes = attrs.ints("axes").iter().map(|axis| ty.dims.get(*axis as usize)?.as_constant());
        let count = sizes.collect::<Option<Vec<i64>>>()?.iter().product::<i64>();
        Some(site.splat(first(site, args)?)? as f32 == (1.0 / count as f64) as f32)
    };
    found().unwrap_or(false)
}
