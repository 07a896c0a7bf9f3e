//! Values and text of the expressions in a plan.

use lostwax_format::{Expr, Operands, Plan, expr::Kind};
use std::fmt::Write;

/// The longest text that [`describe`] gives, about.
const MAX_TEXT: usize = 200;

/// The deepest nesting that [`describe`] follows.
const MAX_DEPTH: u8 = 40;

/// Gives the expressions `needed`, in order and with all that they depend on, their values; `None` where a symbol has no value,
/// a divisor is less than 1, or the value is out of range. The other values stay.
pub(crate) fn evaluate(exprs: &[Expr], needed: &[u32], symbols: &[Option<i64>], values: &mut Vec<Option<i64>>) {
    values.resize(exprs.len(), None);
    for id in needed {
        let kind = exprs.get(*id as usize).and_then(|expr| expr.kind.as_ref());
        let value = kind.and_then(|kind| evaluate_one(kind, values, symbols));
        if let Some(slot) = values.get_mut(*id as usize) {
            *slot = value;
        }
    }
}

/// The expressions that `roots` depend on, themselves included, in order.
pub(crate) fn reachable(exprs: &[Expr], roots: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut is_needed = vec![false; exprs.len()];
    let need = |id: u32, is_needed: &mut [bool]| is_needed.get_mut(id as usize).map_or((), |slot| *slot = true);
    roots.into_iter().for_each(|id| need(id, &mut is_needed));
    for (position, expr) in exprs.iter().enumerate().rev() {
        if is_needed.get(position) == Some(&true) {
            operands(expr).into_iter().flatten().for_each(|id| need(id, &mut is_needed));
        }
    }
    (0..).zip(is_needed).filter_map(|(id, needed)| needed.then_some(id)).collect()
}

fn operands(expr: &Expr) -> Option<[u32; 2]> {
    match expr.kind.as_ref()? {
        Kind::Constant(_) | Kind::Symbol(_) => None,
        Kind::Add(pair) | Kind::Multiply(pair) | Kind::FloorDivide(pair) | Kind::Minimum(pair) | Kind::Maximum(pair) => {
            Some([pair.left, pair.right])
        }
    }
}

fn evaluate_one(kind: &Kind, values: &[Option<i64>], symbols: &[Option<i64>]) -> Option<i64> {
    let value = |index: u32| values.get(index as usize).copied().flatten();
    let pair = |operands: &Operands| Some((value(operands.left)?, value(operands.right)?));
    match kind {
        Kind::Constant(constant) => Some(*constant),
        Kind::Symbol(index) => symbols.get(*index as usize).copied().flatten(),
        Kind::Add(operands) => pair(operands).and_then(|(a, b)| a.checked_add(b)),
        Kind::Multiply(operands) => pair(operands).and_then(|(a, b)| a.checked_mul(b)),
        Kind::FloorDivide(operands) => pair(operands).filter(|(_, b)| *b >= 1).and_then(|(a, b)| a.checked_div_euclid(b)),
        Kind::Minimum(operands) => pair(operands).map(|(a, b)| a.min(b)),
        Kind::Maximum(operands) => pair(operands).map(|(a, b)| a.max(b)),
    }
}

/// The value of an expression, or why it has none.
pub(crate) fn value(plan: &Plan, values: &[Option<i64>], symbols: &[Option<i64>], id: u32) -> Result<i64, String> {
    if let Some(value) = values.get(id as usize).copied().flatten() {
        return Ok(value);
    }
    let text = describe(plan, id);
    match missing_symbol(plan, symbols, id) {
        Some(name) => {
            Err(format!("`{text}` depends on `{name}`, which no input determines; give it a value with `Options::with_binding`"))
        }
        None => Err(format!("`{text}` is out of range")),
    }
}

/// A symbol without value that the expression depends on.
fn missing_symbol<'a>(plan: &'a Plan, symbols: &[Option<i64>], id: u32) -> Option<&'a str> {
    let missing = |id: &u32| match plan.exprs.get(*id as usize)?.kind.as_ref()? {
        Kind::Symbol(index) if symbols.get(*index as usize).copied().flatten().is_none() => plan.symbols.get(*index as usize),
        _ => None,
    };
    reachable(&plan.exprs, [id]).iter().rev().find_map(missing).map(|symbol| symbol.name.as_str())
}

/// The expression as text, such as `32*h + 4`; long ones are cut.
pub(crate) fn describe(plan: &Plan, id: u32) -> String {
    let mut text = String::new();
    describe_into(plan, id, (0, MAX_DEPTH), &mut text);
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str("...");
    }
    text
}

/// Writes an expression that stands in an operator which binds as strongly as `binding`, at most `depth` levels deep.
fn describe_into(plan: &Plan, id: u32, (binding, depth): (u8, u8), text: &mut String) {
    if text.len() > MAX_TEXT {
        return;
    }
    if depth == 0 {
        return text.push_str("...");
    }
    let depth = depth - 1;
    let Some(kind) = plan.exprs.get(id as usize).and_then(|expr| expr.kind.as_ref()) else { return text.push('?') };
    match kind {
        Kind::Constant(value) => drop(write!(text, "{value}")),
        Kind::Symbol(index) => text.push_str(plan.symbols.get(*index as usize).map_or("?", |symbol| &symbol.name)),
        Kind::Add(pair) => describe_infix(plan, pair, (" + ", 1), (binding, depth), text),
        Kind::Multiply(pair) => describe_infix(plan, pair, ("*", 2), (binding, depth), text),
        Kind::FloorDivide(pair) => describe_call(plan, pair, ("floordiv", depth), text),
        Kind::Minimum(pair) => describe_call(plan, pair, ("min", depth), text),
        Kind::Maximum(pair) => describe_call(plan, pair, ("max", depth), text),
    }
}

fn describe_infix(plan: &Plan, pair: &Operands, (operator, binding): (&str, u8), (outer, depth): (u8, u8), text: &mut String) {
    let parentheses = if outer > binding { ("(", ")") } else { ("", "") };
    text.push_str(parentheses.0);
    describe_into(plan, pair.left, (binding, depth), text);
    text.push_str(operator);
    describe_into(plan, pair.right, (binding, depth), text);
    text.push_str(parentheses.1);
}

fn describe_call(plan: &Plan, pair: &Operands, (function, depth): (&str, u8), text: &mut String) {
    text.push_str(function);
    text.push('(');
    describe_into(plan, pair.left, (0, depth), text);
    text.push_str(", ");
    describe_into(plan, pair.right, (0, depth), text);
    text.push(')');
}
