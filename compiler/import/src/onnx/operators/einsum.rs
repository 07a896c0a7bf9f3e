//! Einstein sums.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::movement::AxisSlice;
use crate::onnx::node_error::{NodeError, NodeResult, invalid, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::ops::Op;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const OPERATORS: &[Operator] = &[Operator::standard("Einsum", einsum)];

/// An operand with the letter of each axis.
struct Term {
    item: Operand,
    letters: Vec<char>,
}

/// An equation: the letters of each operand and of the result. What `...` stands for has letters of its own.
struct Equation {
    terms: Vec<Vec<char>>,
    result: Vec<char>,
}

/// The letter for the axis of `...` that comes before `after` others of them.
fn ellipsis_letter(after: usize) -> char {
    char::from_u32(0xE000 + u32::try_from(after).unwrap_or(0).min(255)).unwrap_or('.')
}

/// The letters of one term, whose `...` stands for `axes` axes.
fn letters(term: &str, axes: usize) -> NodeResult<Vec<char>> {
    let implied: String = (0..axes).rev().map(ellipsis_letter).collect();
    let letters: Vec<char> = term.replacen("...", &implied, 1).chars().collect();
    match letters.iter().all(|c| c.is_ascii_alphabetic() || implied.contains(*c)) {
        true => Ok(letters),
        false => unsupported(format!("the term `{term}` of an Einstein sum")),
    }
}

fn parse(equation: &str, ranks: &[usize]) -> NodeResult<Equation> {
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = text.split_once("->").map_or((text.as_str(), None), |(left, right)| (left, Some(right)));
    let parts: Vec<&str> = left.split(',').collect();
    if parts.len() != ranks.len() {
        return invalid(format!("`{equation}` has {} terms for {} operands", parts.len(), ranks.len()));
    }
    let named = |term: &str| term.chars().filter(|c| *c != '.').count();
    let implied = |(term, rank): (&&str, &usize)| rank.saturating_sub(named(term)) * usize::from(term.contains("..."));
    let axes: Vec<usize> = parts.iter().zip(ranks).map(implied).collect();
    let terms = parts.iter().zip(&axes).map(|(term, axes)| letters(term, *axes)).collect::<NodeResult<Vec<_>>>()?;
    let most = axes.iter().copied().max().unwrap_or(0);
    let result = match right {
        Some(right) => letters(right, most)?,
        None => implicit_result(&terms, most),
    };
    let fits = terms.iter().zip(ranks).all(|(letters, rank)| letters.len() == *rank);
    let distinct = result.iter().collect::<BTreeSet<_>>().len() == result.len();
    match fits && distinct && result.iter().all(|letter| terms.iter().any(|term| term.contains(letter))) {
        true => Ok(Equation { terms, result }),
        false => invalid(format!("`{equation}` does not fit the operands")),
    }
}

/// The axes of `...`, then the letters that occur once, in order of the alphabet.
fn implicit_result(terms: &[Vec<char>], axes: usize) -> Vec<char> {
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    terms.iter().flatten().filter(|c| c.is_ascii_alphabetic()).for_each(|c| *counts.entry(*c).or_default() += 1);
    let single = counts.into_iter().filter(|(_, count)| *count == 1).map(|(letter, _)| letter);
    (0..axes).rev().map(ellipsis_letter).chain(single).collect()
}

fn einsum(cx: &mut Importer, node: &Node) -> Results {
    let items = node.all()?;
    let ranks: Vec<usize> = items.iter().map(|item| cx.rank(item)).collect();
    let equation = parse(&node.text("equation", ""), &ranks)?;
    let terms = items.into_iter().zip(equation.terms).map(|(item, letters)| diagonal(cx, Term { item, letters }));
    let mut terms: Vec<Term> = terms.collect::<NodeResult<_>>()?;
    while terms.len() > 1 {
        let (a, b) = (terms.remove(0), terms.remove(0));
        let later = terms.iter().flat_map(|term| &term.letters);
        let needed: Vec<char> = equation.result.iter().chain(later).copied().collect();
        terms.insert(0, contract(cx, &a, &b, &needed)?);
    }
    let Some(sum) = terms.pop() else { return invalid("there are no operands") };
    let sum = drop_letters(cx, &sum, |letter| equation.result.contains(&letter))?;
    one(permuted(cx, &sum, &equation.result)?)
}

/// Two axes of the same letter become the diagonal between them.
fn diagonal(cx: &mut Importer, term: Term) -> NodeResult<Term> {
    let repeated = (0..term.letters.len()).find_map(|i| {
        let other = term.letters[i + 1..].iter().position(|letter| *letter == term.letters[i])?;
        Some((i, i + 1 + other))
    });
    let Some((first, second)) = repeated else { return Ok(term) };
    let kept: Vec<usize> = (0..term.letters.len()).filter(|axis| *axis != first && *axis != second).collect();
    let moved = cx.transpose(&term.item, &[&kept[..], &[first, second]].concat())?;
    let (mut dims, letter) = (cx.dims(&moved), term.letters[first]);
    let size = cx.unify(&dims[kept.len()], &dims[kept.len() + 1], "axes of one letter")?;
    let Some(step) = size.as_constant() else { return unsupported(format!("a diagonal of dynamic size {size}")) };
    dims.truncate(kept.len());
    let flat = cx.reshape(&moved, &[&dims[..], &[size.clone() * size.clone()]].concat())?;
    let range = AxisSlice { start: Dim::default(), size, step: step + 1 };
    let item = cx.slice_axis(&flat, kept.len(), range)?;
    let letters = kept.iter().map(|axis| term.letters[*axis]).chain([letter]).collect();
    diagonal(cx, Term { item, letters })
}

/// Sums over the letters that are not kept.
fn drop_letters(cx: &mut Importer, term: &Term, keep: impl Fn(char) -> bool) -> NodeResult<Term> {
    let axes: Vec<usize> = (0..term.letters.len()).filter(|axis| !keep(term.letters[*axis])).collect();
    let reduced = cx.reduce(Op::ReduceSum, &term.item, &axes)?;
    let dims = cx.dims(&reduced);
    let kept: Vec<Dim> = (0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis].clone()).collect();
    let letters = term.letters.iter().copied().filter(|letter| keep(*letter)).collect();
    Ok(Term { item: cx.reshape(&reduced, &kept)?, letters })
}

fn permuted(cx: &mut Importer, term: &Term, order: &[char]) -> NodeResult<Operand> {
    let perm: Option<Vec<usize>> = order.iter().map(|letter| term.letters.iter().position(|own| own == letter)).collect();
    let perm = perm.ok_or_else(|| NodeError::Invalid("the equation does not fit the operands".to_string()))?;
    cx.transpose(&term.item, &perm)
}

/// The sum over letters that both operands have and the result has not, as a matrix product.
fn contract(cx: &mut Importer, a: &Term, b: &Term, result: &[char]) -> NodeResult<Term> {
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
fn merged(cx: &mut Importer, x: &Operand, batch: usize, first: usize) -> NodeResult<Operand> {
    let dims = cx.dims(x);
    let (head, tail) = dims.split_at(batch);
    let matrix = [product(&tail[..first]), product(&tail[first..])];
    cx.reshape(x, &[head, &matrix].concat())
}
