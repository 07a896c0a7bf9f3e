//! Transposes that bring channels back to the second place move behind the ops that use them, until they reach a transpose
//! that undoes them or an output.

use crate::egraph::language::ENode;
use crate::egraph::rule::{Build, Left, Right, Rule};
use crate::egraph::site::{RuleMatch, inverse};
use crate::tier::Tier::Exact;
use egg::Id;
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::{Class, Op};

const fn sink(name: &'static str, matches: fn(Op) -> bool, examples: &'static [&'static str], build: Build) -> Rule {
    Rule { name, tier: Exact, left: Left::Each { matches, examples }, guards: &[], right: Right::Build(build) }
}

/// The rules.
pub const RULES: &[Rule] = &[
    sink(
        "sink_elementwise",
        |op| op.def().class == Class::Elementwise,
        &[
            "(relu (transpose ?p ?x))",
            "(add (transpose ?p ?x) ?y)",
            "(where ?c ?y (transpose ?p ?x))",
            "(cast ?a (transpose ?p ?x))",
        ],
        sink_elementwise,
    ),
    sink("sink_reduce", |op| op.def().class == Class::Reduce, &["(reduce_mean ?a (transpose ?p ?x))"], sink_unary),
    sink("sink_cumsum", |op| op == Op::Cumsum, &["(cumsum ?a (transpose ?p ?x))"], sink_unary),
    sink(
        "sink_movement",
        |op| matches!(op, Op::Slice | Op::Pad | Op::Broadcast),
        &["(slice ?a (transpose ?p ?x))", "(pad ?a (transpose ?p ?x))", "(broadcast ?a (transpose ?p ?x))"],
        sink_unary,
    ),
    sink("sink_resize", |op| op == Op::Resize, &["(resize ?a (transpose ?p ?x))"], sink_unary),
    sink("sink_concat", |op| op == Op::Concat, &["(concat ?a (transpose ?p ?x) ?y)"], sink_elementwise),
    sink("sink_gather", |op| op == Op::Gather, &["(gather ?a (transpose ?p ?x) ?i)"], sink_gather),
    sink("sink_reshape", |op| op == Op::Reshape, &["(reshape ?a (transpose ?p ?x))"], sink_reshape),
];

/// Whether a permutation moves a trailing block of axes, in any order, to the second place.
fn moves_back(perm: &[i64]) -> bool {
    let rank = perm.len();
    let Some(block) = perm.iter().position(|axis| *axis == 1).and_then(|position| position.checked_sub(1)) else { return false };
    let rest = rank - 1 - block;
    let keeps = perm[0] == 0 && perm[block + 1..].iter().enumerate().all(|(i, axis)| *axis == i as i64 + 1);
    block > 0 && keeps && (block <= rest || rank == 3)
}

/// A transpose in this class that may be moved.
fn movable(site: &RuleMatch<'_>, id: Id) -> Option<(Vec<i64>, Id)> {
    site.transposes(id).into_iter().find(|(perm, _)| moves_back(perm))
}

/// Attributes for the operand of a transpose, of attributes for its result.
///
/// Lists with one entry per axis are permuted and axis numbers are mapped.
pub(super) fn permute_attrs(attrs: &Attrs, perm: &[i64]) -> Attrs {
    attrs.iter().fold(Attrs::new(), |result, (name, attr)| result.with(name, permute_attr(name, attr, perm)))
}

fn permute_attr(name: &str, attr: &Attr, perm: &[i64]) -> Attr {
    let axis = |axis: i64| perm.get(axis as usize).copied().unwrap_or(axis);
    match attr {
        Attr::Int(value) if name == "axis" => Attr::Int(axis(*value)),
        Attr::Ints(values) if name == "axes" => {
            let mut mapped: Vec<i64> = values.iter().map(|value| axis(*value)).collect();
            mapped.sort_unstable();
            Attr::Ints(mapped)
        }
        Attr::Ints(values) if values.len() == perm.len() => Attr::Ints(permuted(values, perm)),
        Attr::Dims(values) if values.len() == perm.len() => Attr::Dims(permuted(values, perm)),
        other => other.clone(),
    }
}

/// The entry of axis `i` becomes that of axis `perm[i]`.
fn permuted<T: Clone>(values: &[T], perm: &[i64]) -> Vec<T> {
    inverse(perm).iter().map(|axis| values[*axis as usize].clone()).collect()
}

/// An op whose operands all have the axes of the result.
fn sink_elementwise(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let (perm, _) = node.operands().iter().find_map(|operand| movable(site, *operand))?;
    let undo = inverse(&perm);
    let operands: Vec<Id> =
        node.operands().iter().map(|operand| untransposed(site, *operand, &perm, &undo)).collect::<Option<_>>()?;
    let result = with_permuted_attrs(site, &node, &perm, &operands)?;
    site.transpose(&perm, result)
}

fn untransposed(site: &mut RuleMatch<'_>, id: Id, perm: &[i64], undo: &[i64]) -> Option<Id> {
    let found = site.transposes(id).into_iter().find(|(candidate, _)| candidate == perm);
    match found {
        Some((_, inner)) => Some(inner),
        None => site.transpose(undo, id),
    }
}

fn with_permuted_attrs(site: &mut RuleMatch<'_>, node: &ENode, perm: &[i64], operands: &[Id]) -> Option<Id> {
    let op = node.op()?;
    let attrs = if op.def().attrs.is_empty() { None } else { Some(permute_attrs(&*site.node_attrs(node)?, perm)) };
    site.add(op, attrs, operands)
}

fn sink_unary(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let (perm, x) = movable(site, *node.operands().first()?)?;
    let result = with_permuted_attrs(site, &node, &perm, &[x])?;
    site.transpose(&perm, result)
}

/// Only for lists of indices, which keep the rank.
fn sink_gather(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let (x, indices) = (*node.operands().first()?, *node.operands().get(1)?);
    let (perm, x) = movable(site, x)?;
    if site.ty(indices)?.rank() != 1 {
        return None;
    }
    let result = with_permuted_attrs(site, &node, &perm, &[x, indices])?;
    site.transpose(&perm, result)
}

/// A reshape that splits and joins axes only within groups: on the operand of the transpose, the groups are in another order.
fn sink_reshape(site: &mut RuleMatch<'_>) -> Option<Id> {
    let node = site.node.clone();
    let x = *node.operands().first()?;
    let (perm, inner) = movable(site, x)?;
    let (from, to) = (site.ty(x)?, site.ty(site.root)?);
    let groups = groups(site, &from.dims, &to.dims)?;
    let mut order: Vec<usize> = (0..groups.len()).collect();
    let first_axis = |group: usize| groups[group].0.clone().map(|axis| perm[axis]).min().unwrap_or(i64::MAX);
    order.sort_by_key(|group| first_axis(*group));
    let gather: Vec<i64> = order.iter().flat_map(|group| perm[groups[*group].0.clone()].to_vec()).collect();
    let dims: Vec<Dim> = order.iter().flat_map(|group| to.dims[groups[*group].1.clone()].to_vec()).collect();
    let placed: Vec<i64> = order.iter().flat_map(|group| groups[*group].1.clone()).map(|axis| axis as i64).collect();
    let gathered = site.transpose(&gather, inner)?;
    let reshaped = site.reshape(dims, gathered)?;
    site.transpose(&inverse(&placed), reshaped)
}

type Group = (std::ops::Range<usize>, std::ops::Range<usize>);

/// The smallest groups of consecutive axes with equal element counts on both sides.
fn groups(site: &RuleMatch<'_>, from: &[Dim], to: &[Dim]) -> Option<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let (mut left, mut right) = (0, 0);
    while left < from.len() && right < to.len() {
        let (i, j) = group_end(site, &from[left..], &to[right..])?;
        groups.push((left..left + i, right..right + j));
        (left, right) = (left + i, right + j);
    }
    let ones = |dims: &[Dim]| dims.iter().all(|dim| dim.is(1));
    if !ones(&from[left..]) || !ones(&to[right..]) {
        return None;
    }
    let last = groups.last_mut()?;
    last.0.end = from.len();
    last.1.end = to.len();
    Some(groups)
}

/// The least numbers of leading axes that hold equally many elements.
fn group_end(site: &RuleMatch<'_>, from: &[Dim], to: &[Dim]) -> Option<(usize, usize)> {
    if site.are_equal(from.first()?, to.first()?) {
        return Some((1, 1));
    }
    let mut ends: Vec<(usize, usize)> = (1..=from.len()).flat_map(|i| (1..=to.len()).map(move |j| (i, j))).collect();
    ends.sort_by_key(|(i, j)| i + j);
    ends.into_iter().find(|(i, j)| product(&from[..*i]) == product(&to[..*j]))
}
