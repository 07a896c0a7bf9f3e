//! Activations and averages that models spell out.

use crate::egraph::rule::{Rule, built, rule};
use crate::egraph::site::RuleMatch;
use crate::tier::Tier::{Contract, Exact, Reassociate};
use egg::Id;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;

const GELU: &[&str] = &["splat(?c, 0.7071067811865476)", "splat(?one, 1)", "splat(?half, 0.5)", "same_type(?x)"];
const GELU_SUM: &[&str] = &["splat(?c, 0.7071067811865476)", "splat(?half, 0.5)", "same_type(?x)"];
const GELU_TANH: &[&str] =
    &["splat(?c, 0.7978845608028654)", "splat(?k, 0.044715)", "splat(?one, 1)", "splat(?half, 0.5)", "same_type(?x)"];
const GELU_TANH_SUM: &[&str] = &["splat(?c, 0.7978845608028654)", "splat(?k, 0.044715)", "splat(?half, 0.5)", "same_type(?x)"];
const GATE_OF_SIX: &[&str] = &["splat(?three, 3)", "splat(?sixth, 0.16666666666666666)", "same_type(?x)", "float(?x)"];

/// The rules.
pub const RULES: &[Rule] = &[
    rule("relu", Exact, &["(maximum ?x ?c)"], &["splat(?c, 0)", "same_type(?x)", "float(?x)"], "(relu ?x)"),
    rule(
        "clip",
        Exact,
        &["(minimum (maximum ?x ?a) ?b)"],
        &["uniform(?a)", "uniform(?b)", "same_type(?x)"],
        "(clip (limits ?a ?b) ?x)",
    ),
    rule("clip_high", Exact, &["(minimum ?x ?b)"], &["uniform(?b)", "same_type(?x)", "float(?x)"], "(clip (limits -inf ?b) ?x)"),
    rule("sigmoid", Contract, &["(recip (add (exp (neg ?x)) ?c))"], &["splat(?c, 1)", "same_type(?x)"], "(sigmoid ?x)"),
    rule("silu", Contract, &["(mul ?x (sigmoid ?x))"], &[], "(silu ?x)"),
    rule("silu_div", Contract, &["(div ?x (add (exp (neg ?x)) ?c))"], &["splat(?c, 1)", "same_type(?x)"], "(silu ?x)"),
    rule("softplus", Reassociate, &["(log (add (exp ?x) ?c))"], &["splat(?c, 1)", "same_type(?x)"], "(softplus ?x)"),
    rule("softsign", Contract, &["(div ?x (add (abs ?x) ?c))"], &["splat(?c, 1)", "same_type(?x)", "float(?x)"], "(softsign ?x)"),
    rule(
        "leaky_relu",
        Contract,
        &["(maximum ?x (mul ?x ?c))"],
        &["slope(?c)", "same_type(?x)", "float(?x)"],
        "(leaky_relu (alpha ?c) ?x)",
    ),
    rule(
        "hard_sigmoid",
        Contract,
        &["(clip {min=0, max=1} (add (mul ?x ?a) ?b))"],
        &["uniform(?a)", "uniform(?b)", "same_type(?x)", "float(?x)"],
        "(hard_sigmoid (hard_sigmoid ?a ?b) ?x)",
    ),
    rule(
        "hard_sigmoid_of_six",
        Reassociate,
        &["(mul (clip {min=0, max=6} (add ?x ?three)) ?sixth)"],
        GATE_OF_SIX,
        "(hard_sigmoid (hard_sigmoid ?sixth 0.5) ?x)",
    ),
    rule("hard_swish", Contract, &["(mul ?x (hard_sigmoid ?a ?x))"], &["hard_swish_gate(?a)"], "(hard_swish ?x)"),
    rule(
        "hard_swish_of_six",
        Reassociate,
        &["(mul (mul ?x (clip {min=0, max=6} (add ?x ?three))) ?sixth)"],
        GATE_OF_SIX,
        "(hard_swish ?x)",
    ),
    rule(
        "gelu",
        Reassociate,
        &[
            "(mul (mul ?x (add (erf (mul ?x ?c)) ?one)) ?half)",
            "(mul (mul ?x ?half) (add (erf (mul ?x ?c)) ?one))",
            "(mul ?x (mul (add (erf (mul ?x ?c)) ?one) ?half))",
        ],
        GELU,
        "(gelu ?x)",
    ),
    rule("gelu_sum", Reassociate, &["(mul ?x (add (mul (erf (mul ?x ?c)) ?half) ?half))"], GELU_SUM, "(gelu ?x)"),
    rule(
        "gelu_tanh",
        Reassociate,
        &[
            "(mul (mul ?x (add (tanh (mul (add ?x (mul (mul (mul ?x ?x) ?x) ?k)) ?c)) ?one)) ?half)",
            "(mul (mul ?x ?half) (add (tanh (mul (add ?x (mul (mul (mul ?x ?x) ?x) ?k)) ?c)) ?one))",
            "(mul ?x (mul (add (tanh (mul (add ?x (mul (mul (mul ?x ?x) ?x) ?k)) ?c)) ?one) ?half))",
        ],
        GELU_TANH,
        "(gelu_tanh ?x)",
    ),
    rule(
        "gelu_tanh_sum",
        Reassociate,
        &["(mul ?x (add (mul (tanh (mul (add ?x (mul (mul (mul ?x ?x) ?x) ?k)) ?c)) ?half) ?half))"],
        GELU_TANH_SUM,
        "(gelu_tanh ?x)",
    ),
    rule("mean", Reassociate, &["(mul (reduce_sum ?a ?x) ?c)"], &["count_of(?c, ?a, ?x)"], "(reduce_mean ?a ?x)"),
    built("global_average", Contract, &["(avg_pool ?a ?x)"], &["float(?x)"], global_average),
    built("pool_nothing", Exact, &["(max_pool ?a ?x)"], &["same_type(?x)"], pool_nothing),
];

/// The axes over which a window slides.
fn spatial_axes(attrs: &Attrs, rank: usize) -> std::ops::Range<usize> {
    if attrs.flag("channels_last") { 1..rank - 1 } else { 2..rank }
}

fn is_unpadded(attrs: &Attrs) -> bool {
    [attrs.ints("before"), attrs.ints("after")].concat().iter().all(|pad| *pad == 0)
}

/// An average over whole images.
fn global_average(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x) = (site.attrs("a")?, site.var("x")?);
    let ty = site.ty(x)?;
    let axes = spatial_axes(&attrs, ty.rank());
    let whole = ty.dims[axes.clone()].iter().zip(attrs.ints("kernel")).all(|(dim, size)| dim.is(*size));
    let dense = attrs.ints("dilations").iter().all(|step| *step == 1);
    if !whole || !dense || !is_unpadded(&attrs) {
        return None;
    }
    let axes: Vec<i64> = axes.map(|axis| axis as i64).collect();
    site.add(Op::ReduceMean, Some(Attrs::new().with("axes", axes)), &[x])
}

fn pool_nothing(site: &mut RuleMatch<'_>) -> Option<Id> {
    let attrs = site.attrs("a")?;
    let ones = [attrs.ints("kernel"), attrs.ints("strides")].concat().iter().all(|size| *size == 1);
    if ones && is_unpadded(&attrs) { site.var("x") } else { None }
}
