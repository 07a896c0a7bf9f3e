//! A pass that computes matrix products with the same left factor as one product, and gives each its columns.
//!
//! A rule has one root and cannot do this; a pass sees the whole graph.

use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::Op;
use lostwax_passes::{Changed, Context, Pass, PassError, Tier};
use std::collections::BTreeMap;

/// The pass, for the registry.
pub const PASS: Pass =
    Pass { name: "merge_products", doc: "Computes matrix products with the same left factor as one product.", run };

fn run(graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
    // A larger product may add up in another order.
    if ctx.tier < Tier::Reassociate {
        return Ok(Changed::No);
    }
    let groups: Vec<Vec<Value>> = products(graph).into_values().filter(|group| group.len() > 1).collect();
    for group in &groups {
        merge(graph, group).map_err(|source| PassError::InvalidNode { pass: PASS.name, source })?;
    }
    graph.set_origin([]);
    graph.remove_dead();
    Ok((!groups.is_empty()).into())
}

/// The products by constant matrices, by left factor and rows of the matrix.
fn products(graph: &Graph) -> BTreeMap<(Value, Dim), Vec<Value>> {
    let mut products: BTreeMap<(Value, Dim), Vec<Value>> = BTreeMap::new();
    for value in graph.topological() {
        let operands = graph.operands(value);
        let [x, w] = operands.as_slice() else { continue };
        let [rows, _] = graph.ty(*w).dims.as_slice() else { continue };
        if graph.op(value) == Op::MatMul && graph.as_constant(*w).is_some() {
            products.entry((*x, rows.clone())).or_default().push(value);
        }
    }
    products
}

fn merge(graph: &mut Graph, products: &[Value]) -> Result<(), TypeError> {
    let origin: Vec<String> = products.iter().flat_map(|value| graph.node(*value).origin.clone()).collect();
    graph.set_origin(origin);
    let factors: Vec<Vec<Value>> = products.iter().map(|value| graph.operands(*value)).collect();
    let matrices: Vec<Value> = factors.iter().filter_map(|factors| factors.get(1).copied()).collect();
    let Some(x) = factors.first().and_then(|factors| factors.first()) else { return Ok(()) };
    let matrix = graph.add(Op::Concat, Attrs::new().with("axis", 1i64), &matrices)?;
    let product = graph.add(Op::MatMul, Attrs::new(), &[*x, matrix])?;
    let mut start = Dim::default();
    for old in products {
        let sizes = graph.ty(*old).dims.clone();
        let attrs = Attrs::new()
            .with("starts", vec![Dim::default(), start.clone()])
            .with("sizes", sizes.clone())
            .with("steps", vec![1i64, 1]);
        let columns = graph.add(Op::Slice, attrs, &[product])?;
        graph.replace_uses(*old, columns);
        start = sizes.into_iter().skip(1).fold(start, |start, columns| start + columns);
    }
    Ok(())
}
