//! Writes a concatenation that begins like another one as that one and the rest.
//!
//! The memory of the shorter concatenation can then lie inside the memory of the longer one, and nothing is copied.

use crate::error::PassError;
use crate::pass::{Changed, Context, Pass};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Class;
use std::collections::BTreeMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "nest_concats",
    doc: "Writes a concatenation that begins like another one as that one and the rest.",
    run: nest_concats,
};

/// See the module's documentation.
///
/// # Errors
/// [`PassError::InvalidNode`].
pub fn nest_concats(graph: &mut Graph, _: &Context) -> Result<Changed, PassError> {
    let mut known: BTreeMap<(i64, Vec<Value>), Value> = BTreeMap::new();
    let mut changed = Changed::No;
    for value in graph.topological() {
        let node = graph.node(value).clone();
        if node.op.def().class != Class::Concatenation {
            continue;
        }
        let (axis, operands) = (node.attrs.int("axis"), graph.operands(value));
        let prefix = (2..operands.len()).rev().find_map(|length| {
            let whole = known.get(&(axis, operands[..length].to_vec()))?;
            Some((*whole, length))
        });
        let mut result = value;
        if let Some((whole, length)) = prefix {
            let nested: Vec<Value> = [whole].into_iter().chain(operands[length..].iter().copied()).collect();
            graph.set_origin(node.origin.iter().cloned());
            let added = graph.add(node.op, node.attrs, &nested);
            result = added.map_err(|source| PassError::InvalidNode { pass: PASS.name, source })?;
            graph.replace_uses(value, result);
            changed = Changed::Yes;
        }
        known.insert((axis, operands), result);
    }
    graph.remove_dead();
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_ir::attrs::Attrs;
    use lostwax_ir::ops::Op;
    use lostwax_ir::types::{DType, TensorType};

    #[test]
    fn longer_concatenations_contain_shorter_ones() {
        let mut graph = Graph::new("dense block");
        let ty = TensorType::new(DType::F32, [1i64, 2]);
        let inputs: Vec<Value> = ["a", "b", "c"].iter().map(|name| graph.input(name, &ty).unwrap()).collect();
        let axis = || Attrs::new().with("axis", 1i64);
        let pair = graph.add(Op::Concat, axis(), &inputs[..2]).unwrap();
        let all = graph.add(Op::Concat, axis(), &inputs).unwrap();
        graph.output("pair", pair);
        graph.output("all", all);
        assert_eq!(nest_concats(&mut graph, &Context::default()).unwrap(), Changed::Yes);
        assert_eq!(graph.operands(graph.outputs()[1].value), vec![pair, inputs[2]]);
    }
}
