//! Makes equal nodes one node.

use crate::error::PassError;
use crate::pass::{Changed, Context, Pass};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// See [`share_common`].
pub const PASS: Pass =
    Pass { name: "share_common", doc: "Makes nodes with equal op, attributes and operands one node.", run: share_common };

/// What a node is, such that equal keys mean equal values.
#[derive(PartialEq, Eq)]
enum Key {
    Node(Op, Attrs, Vec<Value>),
    Constant(Arc<Tensor>),
}

/// Bytes of a constant that are hashed.
const HASHED_BYTES: usize = 1 << 10;

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Key::Node(op, attrs, operands) => (op, attrs, operands).hash(state),
            Key::Constant(tensor) => {
                let bytes = tensor.bytes();
                let (start, end) = (&bytes[..bytes.len().min(HASHED_BYTES)], &bytes[bytes.len().saturating_sub(HASHED_BYTES)..]);
                (tensor.dtype(), tensor.shape(), start, end).hash(state);
            }
        }
    }
}

fn key(graph: &Graph, value: Value) -> Key {
    match graph.as_constant(value) {
        Some(tensor) => Key::Constant(tensor.clone()),
        None => Key::Node(graph.op(value), graph.node(value).attrs.clone(), graph.operands(value)),
    }
}

/// Makes nodes with equal op, attributes and operands, and equal constants, one node that carries all their origins.
pub fn share_common(graph: &mut Graph, _: &Context) -> Result<Changed, PassError> {
    let before = graph.len();
    let mut known: HashMap<Key, Value> = HashMap::new();
    for value in graph.topological() {
        if graph.op(value).is_input() {
            continue;
        }
        let first = *known.entry(key(graph, value)).or_insert(value);
        if first != value {
            let origin = graph.node(value).origin.clone();
            graph.extend_origin(first, &origin);
            graph.replace_uses(value, first);
        }
    }
    graph.remove_dead();
    Ok((graph.len() != before).into())
}
