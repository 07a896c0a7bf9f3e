//! Identities of ops that move elements.

use crate::egraph::language::ENode;
use crate::egraph::rule::{Left, Right, Rule, built, rule};
use crate::egraph::site::RuleMatch;
use crate::tier::Tier::Exact;
use egg::Id;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::{Class, Op};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("transpose_transpose", Exact, &["(transpose ?p (transpose ?q ?x))"], &[], "(transpose (compose ?p ?q) ?x)"),
    rule("transpose_same", Exact, &["(transpose ?p ?x)"], &["identity(?p)"], "?x"),
    built("transpose_to_reshape", Exact, &["(transpose ?p ?x)"], &[], transpose_to_reshape),
    rule("reshape_reshape", Exact, &["(reshape ?a (reshape ?b ?x))"], &[], "(reshape ?a ?x)"),
    rule("reshape_same", Exact, &["(reshape ?a ?x)"], &["same_type(?x)"], "?x"),
    rule("broadcast_same", Exact, &["(broadcast ?a ?x)"], &["same_type(?x)"], "?x"),
    rule("broadcast_broadcast", Exact, &["(broadcast ?a (broadcast ?b ?x))"], &[], "(broadcast ?a ?x)"),
    rule("slice_whole", Exact, &["(slice ?a ?x)"], &["same_type(?x)", "whole(?a)"], "?x"),
    rule("slice_slice", Exact, &["(slice ?a (slice ?b ?x))"], &[], "(slice (slice_of_slice ?a ?b) ?x)"),
    rule("pad_nothing", Exact, &["(pad ?a ?x)"], &["same_type(?x)", "no_pad(?a)"], "?x"),
    rule("pad_pad", Exact, &["(pad ?a (pad ?b ?x))"], &[], "(pad (pad_of_pad ?a ?b) ?x)"),
    rule("concat_one", Exact, &["(concat ?a ?x)"], &[], "?x"),
    Rule {
        name: "concat_concat",
        tier: Exact,
        left: Left::Each { matches: |op| op == Op::Concat, examples: &["(concat ?a (concat ?a ?x ?y) ?z)"] },
        guards: &[],
        right: Right::Build(flatten_concat),
    },
    Rule {
        name: "slice_concat",
        tier: Exact,
        left: Left::Each { matches: |op| op == Op::Slice, examples: &["(slice ?s (concat ?a ?x ?y))"] },
        guards: &[],
        right: Right::Build(slice_concat),
    },
    Rule {
        name: "drop_broadcast",
        tier: Exact,
        left: Left::Each {
            matches: |op| op.def().class == Class::Elementwise,
            examples: &["(add (broadcast ?a ?x) ?y)", "(where ?c ?x (broadcast ?a ?y))"],
        },
        guards: &[],
        right: Right::Build(drop_broadcast),
    },
];

/// A transpose that only moves axes of size 1 is a reshape.
fn transpose_to_reshape(site: &mut RuleMatch<'_>) -> Option<Id> {
    let (attrs, x) = (site.attrs("p")?, site.var("x")?);
    let ty = site.ty(x)?;
    let wide: Vec<i64> = attrs.ints("perm").iter().copied().filter(|axis| !ty.dims[*axis as usize].is(1)).collect();
    if !wide.is_sorted() {
        return None;
    }
    let dims = site.ty(site.root)?.dims.clone();
    site.reshape(dims, x)
}

/// The operands of a concatenation along `axis` in this class.
fn concat_parts(site: &RuleMatch<'_>, id: Id, axis: i64) -> Option<Vec<Id>> {
    let fits = |node: &&ENode| site.node_attrs(node).is_some_and(|attrs| attrs.int("axis") == axis);
    let node = site.members(id, Op::Concat).find(fits)?;
    let parts: Vec<Id> = node.operands().iter().map(|part| site.egraph.find(*part)).collect();
    (!parts.contains(&site.egraph.find(id))).then_some(parts)
}

fn flatten_concat(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let attrs = site.node_attrs(&node)?;
    let axis = attrs.int("axis");
    let parts: Vec<Option<Vec<Id>>> = node.operands().iter().map(|part| concat_parts(site, *part, axis)).collect();
    if parts.iter().all(Option::is_none) {
        return None;
    }
    let flat = parts.into_iter().zip(node.operands()).flat_map(|(inner, part)| inner.unwrap_or_else(|| vec![*part]));
    let flat: Vec<Id> = flat.collect();
    site.add(Op::Concat, Some(Attrs::new().with("axis", axis)), &flat)
}

/// A slice that lies within one part of a concatenation.
fn slice_concat(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let x = *node.operands().first()?;
    let attrs = site.node_attrs(&node)?;
    let concats: Vec<ENode> = site.members(x, Op::Concat).cloned().collect();
    concats.iter().find_map(|concat| {
        let axis = site.node_attrs(concat)?.int("axis") as usize;
        let (part, start) = part_of_slice(site, concat, &attrs, axis)?;
        let mut starts = attrs.dims("starts").to_vec();
        starts[axis] = start;
        site.add(Op::Slice, Some(attrs.as_ref().clone().with("starts", starts)), &[part])
    })
}

/// The part of a concatenation that a slice reads from, and where the slice starts in it.
fn part_of_slice(site: &RuleMatch<'_>, concat: &ENode, slice: &Attrs, axis: usize) -> Option<(Id, Dim)> {
    let (start, size, step) = (&slice.dims("starts")[axis], &slice.dims("sizes")[axis], slice.ints("steps")[axis]);
    if step != 1 || size.bounds().0 < 1 {
        return None;
    }
    let mut begin = Dim::default();
    for part in concat.operands() {
        let end = begin.clone() + site.ty(*part)?.dims.get(axis)?.clone();
        if begin.prove_le(start) == Some(true) && (start.clone() + size.clone()).prove_le(&end) == Some(true) {
            return Some((*part, start.clone() - begin));
        }
        begin = end;
    }
    None
}

/// Elementwise ops broadcast by themselves.
fn drop_broadcast(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let narrow =
        |site: &RuleMatch<'_>, id: Id| site.members(id, Op::Broadcast).next().and_then(|node| node.operands().first().copied());
    for position in 0..node.operands().len() {
        let mut operands = node.operands().to_vec();
        let Some(inner) = narrow(site, operands[position]) else { continue };
        operands[position] = inner;
        if let Some(result) = site.add_like(&node, &operands)
            && site.ty(result) == site.ty(site.root)
        {
            return Some(result);
        }
    }
    None
}
