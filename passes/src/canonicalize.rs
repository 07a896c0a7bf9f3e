//! Brings nodes into the canonical form that rules expect.

use crate::error::PassError;
use crate::pass::{Changed, Context, Pass};
use crate::tier::Tier;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::{Class, Op};
use std::collections::HashSet;

/// See [`canonicalize`].
pub const PASS: Pass = Pass {
    name: "canonicalize",
    doc: "Puts constant operands last; subtracts and divides by constants by adding and multiplying.",
    run: canonicalize,
};

/// Puts the constant operand of commutative ops last, adds the negative instead of subtracting a constant, and multiplies
/// by the reciprocal instead of dividing by one where the tier allows it.
pub fn canonicalize(graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
    let constants = constant_values(graph);
    let mut changed = false;
    for value in graph.topological() {
        if constants.contains(&value) {
            continue;
        }
        graph.set_origin(graph.node(value).origin.clone());
        let rewritten = rewrite(graph, value, &constants, ctx.tier);
        if let Some(new) = rewritten.map_err(|source| PassError::InvalidNode { pass: PASS.name, source })? {
            graph.replace_uses(value, new);
            changed = true;
        }
    }
    graph.set_origin([]);
    graph.remove_dead();
    Ok(changed.into())
}

/// The values that depend on constants only.
pub(crate) fn constant_values(graph: &Graph) -> HashSet<Value> {
    let mut constants = HashSet::new();
    for value in graph.topological() {
        let node = graph.node(value);
        let from_constants = graph.operands(value).iter().all(|operand| constants.contains(operand));
        let computed = !node.op.is_input() && node.op.def().class != Class::Decode;
        if computed && node.op != Op::DimValue && from_constants && node.ty.static_shape().is_some() {
            constants.insert(value);
        }
    }
    constants
}

fn rewrite(graph: &mut Graph, value: Value, constants: &HashSet<Value>, tier: Tier) -> Result<Option<Value>, TypeError> {
    let operands = graph.operands(value);
    let [x, y] = operands.as_slice() else { return Ok(None) };
    let (op, float) = (graph.op(value), graph.ty(value).dtype.is_float());
    if op.def().commutative && constants.contains(x) && !constants.contains(y) {
        return graph.add(op, graph.node(value).attrs.clone(), &[*y, *x]).map(Some);
    }
    let replacement = match op {
        Op::Sub if float => Some((Op::Neg, Op::Add)),
        Op::Div if float && tier >= Tier::Reassociate => Some((Op::Recip, Op::Mul)),
        _ => None,
    };
    match replacement {
        Some((inverse, combine)) if constants.contains(y) => {
            let inverted = graph.add(inverse, Attrs::new(), &[*y])?;
            graph.add(combine, Attrs::new(), &[*x, inverted]).map(Some)
        }
        _ => Ok(None),
    }
}
