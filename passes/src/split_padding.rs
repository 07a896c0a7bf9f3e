//! Makes the padding of contractions explicit where guarding each read would cost more.
//!
//! A contraction whose innermost reduced loop is short spends its time on addresses and conditions. Once its input is padded
//! in memory, the conditions vanish and the innermost loops merge into one.

use crate::error::PassError;
use crate::fuse::definition;
use crate::pass::{Changed, Context, Pass};
use crate::schedule::{Nest, wants_unpadded};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::{Class, Op};

/// The pass.
pub const PASS: Pass = Pass {
    name: "split_padding",
    doc: "Pads the input of contractions with few channels in memory, so that their loops merge.",
    run,
};

fn run(graph: &mut Graph, _: &Context) -> Result<Changed, PassError> {
    let mut changed = Changed::No;
    for value in graph.topological() {
        if splits(graph, value) {
            split(graph, value).map_err(|source| PassError::InvalidNode { pass: PASS.name, source })?;
            changed = Changed::Yes;
        }
    }
    Ok(changed)
}

fn splits(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    let padded =
        node.attrs.flag("channels_last") && node.attrs.ints("before").iter().chain(node.attrs.ints("after")).any(|n| *n > 0);
    if node.op.def().class != Class::Contraction || !padded {
        return false;
    }
    definition(graph, value).is_some_and(|compute| wants_unpadded(&Nest::dense(&compute)))
}

fn split(graph: &mut Graph, value: Value) -> Result<(), TypeError> {
    let node = graph.node(value).clone();
    let mut operands = graph.operands(value);
    let Some(input) = operands.first().copied() else { return Ok(()) };
    let around = |amounts: &[i64]| -> Vec<Dim> {
        let inner = amounts.iter().map(|amount| Dim::constant(*amount));
        std::iter::once(Dim::default()).chain(inner).chain([Dim::default()]).collect()
    };
    let attrs = Attrs::new()
        .with("before", around(node.attrs.ints("before")))
        .with("after", around(node.attrs.ints("after")))
        .with("mode", "constant")
        .with("value", 0.0);
    graph.set_origin(node.origin.iter().cloned());
    let padded = graph.add(Op::Pad, attrs, &[input])?;
    operands[0] = padded;
    let none = vec![0i64; node.attrs.ints("before").len()];
    let unpadded = graph.add(node.op, node.attrs.with("before", none.clone()).with("after", none), &operands)?;
    graph.replace_uses(value, unpadded);
    graph.remove_dead();
    Ok(())
}
