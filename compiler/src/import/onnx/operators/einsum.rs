//! Einstein sums of one or two operands.

use super::{Context, Entry, Node, Results, one};
use crate::import::onnx::item::Item;
use crate::import::onnx::problem::{Outcome, Problem, invalid, unsupported};
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const OPERATORS: &[Entry] = &[("Einsum", "", einsum)];

/// An operand with the letter of each axis.
struct Term {
    item: Item,
    letters: Vec<char>,
}

fn parse(equation: &str) -> Outcome<(Vec<Vec<char>>, Vec<char>)> {
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    if text.contains('.') {
        return unsupported("Einsum with `...` is not supported");
    }
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left.to_string(), right.chars().collect()),
        None => (text.clone(), implicit_result(&text)),
    };
    let terms: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    let all_letters = terms.iter().flatten().chain(&right).all(|c| c.is_ascii_alphabetic());
    let distinct = |letters: &Vec<char>| letters.iter().collect::<BTreeSet<_>>().len() == letters.len();
    match all_letters && terms.iter().chain([&right]).all(distinct) {
        true => Ok((terms, right)),
        false => unsupported(format!("Einsum `{equation}` is not supported; letters must not repeat in one operand")),
    }
}

/// The letters that occur once, in order of the alphabet.
fn implicit_result(terms: &str) -> Vec<char> {
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    terms.chars().filter(|c| *c != ',').for_each(|c| *counts.entry(c).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count == 1).map(|(letter, _)| letter).collect()
}

fn einsum(cx: &mut Context, node: &Node) -> Results {
    let (letters, result) = parse(&node.text("equation", ""))?;
    let items = node.all()?;
    let fits = items.len() == letters.len() && items.iter().zip(&letters).all(|(item, letters)| cx.rank(item) == letters.len());
    if !fits || result.iter().any(|letter| letters.iter().all(|term| !term.contains(letter))) {
        return invalid("the equation does not fit the operands");
    }
    let mut terms: Vec<Term> = items.into_iter().zip(letters).map(|(item, letters)| Term { item, letters }).collect();
    let sum = match terms.len() {
        1 => terms.remove(0),
        2 => contract(cx, &terms[0], &terms[1], &result)?,
        count => return unsupported(format!("Einsum of {count} operands is not supported; split it into pairs")),
    };
    let sum = drop_letters(cx, &sum, |letter| result.contains(&letter))?;
    one(permuted(cx, &sum, &result)?)
}

/// Sums over the letters that are not kept.
fn drop_letters(cx: &mut Context, term: &Term, keep: impl Fn(char) -> bool) -> Outcome<Term> {
    let axes: Vec<usize> = (0..term.letters.len()).filter(|axis| !keep(term.letters[*axis])).collect();
    let reduced = cx.reduce(Op::ReduceSum, &term.item, &axes)?;
    let dims = cx.dims(&reduced);
    let kept: Vec<Dim> = (0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis].clone()).collect();
    let letters = term.letters.iter().copied().filter(|letter| keep(*letter)).collect();
    Ok(Term { item: cx.reshape(&reduced, &kept)?, letters })
}

fn permuted(cx: &mut Context, term: &Term, order: &[char]) -> Outcome<Item> {
    let perm: Option<Vec<usize>> = order.iter().map(|letter| term.letters.iter().position(|own| own == letter)).collect();
    let perm = perm.ok_or_else(|| Problem::Invalid("the equation does not fit the operands".to_string()))?;
    cx.transpose(&term.item, &perm)
}

/// The sum over letters that both operands have and the result has not, as a matrix product.
fn contract(cx: &mut Context, a: &Term, b: &Term, result: &[char]) -> Outcome<Term> {
    let a = drop_letters(cx, a, |letter| result.contains(&letter) || b.letters.contains(&letter))?;
    let b = drop_letters(cx, b, |letter| result.contains(&letter) || a.letters.contains(&letter))?;
    let pick = |term: &Term, shared: bool, kept: bool| -> Vec<char> {
        let other = if std::ptr::eq(term, &a) { &b } else { &a };
        let chosen = term.letters.iter().filter(|c| other.letters.contains(c) == shared && result.contains(c) == kept);
        chosen.copied().collect()
    };
    let (batch, inner) = (pick(&a, true, true), pick(&a, true, false));
    let (rows, columns) = (pick(&a, false, true), pick(&b, false, true));
    let left = permuted(cx, &a, &[&batch[..], &rows, &inner].concat())?;
    let right = permuted(cx, &b, &[&batch[..], &inner, &columns].concat())?;
    let (left_dims, right_dims) = (cx.dims(&left), cx.dims(&right));
    let left = merged(cx, &left, batch.len(), rows.len())?;
    let right = merged(cx, &right, batch.len(), inner.len())?;
    let sum = cx.matmul(&left, &right)?;
    let mut dims = cx.dims(&sum)[..batch.len()].to_vec();
    dims.extend_from_slice(&left_dims[batch.len()..batch.len() + rows.len()]);
    dims.extend_from_slice(&right_dims[batch.len() + inner.len()..]);
    Ok(Term { item: cx.reshape(&sum, &dims)?, letters: [batch, rows, columns].concat() })
}

/// Merges the axes behind the batch into two, of which the first one takes `first` axes.
fn merged(cx: &mut Context, x: &Item, batch: usize, first: usize) -> Outcome<Item> {
    let dims = cx.dims(x);
    let (head, tail) = dims.split_at(batch);
    let matrix = [product(&tail[..first]), product(&tail[first..])];
    cx.reshape(x, &[head, &matrix].concat())
}
