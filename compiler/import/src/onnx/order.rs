//! The order in which nodes can be imported.

use onnx_protobuf::{GraphProto, NodeProto};
use std::collections::{BTreeMap, BTreeSet};

const MAX_NESTING: usize = 32;

/// The positions of the graph's nodes such that each comes after those it needs, otherwise as in the file; `Err` names a node
/// on a cycle.
pub(super) fn sort_nodes(nodes: &[NodeProto]) -> Result<Vec<usize>, String> {
    let mut makers: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            makers.entry(name).or_insert(position);
        }
    }
    let needs: Vec<BTreeSet<usize>> =
        nodes.iter().map(|node| needed_names(node).into_iter().filter_map(|name| makers.get(name).copied()).collect()).collect();
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut missing: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    for (position, needed) in needs.iter().enumerate() {
        needed.iter().for_each(|maker| users[*maker].push(position));
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|position| missing[*position] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(position) = ready.pop_first() {
        order.push(position);
        for user in &users[position] {
            missing[*user] -= 1;
            if missing[*user] == 0 {
                ready.insert(*user);
            }
        }
    }
    match missing.iter().position(|count| *count > 0) {
        Some(position) => Err(nodes[position].output.first().cloned().unwrap_or_default()),
        None => Ok(order),
    }
}

/// The names that a node reads, those that its subgraphs take from outside included.
fn needed_names(node: &NodeProto) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = node.input.iter().map(String::as_str).collect();
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            collect_names(graph, 0, &mut names);
        }
    }
    names
}

fn collect_names<'a>(graph: &'a GraphProto, depth: usize, names: &mut BTreeSet<&'a str>) {
    if depth > MAX_NESTING {
        return;
    }
    names.extend(graph.output.iter().map(|output| output.name.as_str()));
    for node in &graph.node {
        names.extend(node.input.iter().map(String::as_str));
        for inner in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            collect_names(inner, depth + 1, names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(inputs: &[&str], output: &str) -> NodeProto {
        let inputs = inputs.iter().map(|name| name.to_string()).collect();
        NodeProto { input: inputs, output: vec![output.to_string()], ..NodeProto::new() }
    }

    #[test]
    fn makers_come_first() {
        let nodes = [node(&["b", "x"], "c"), node(&["a"], "b"), node(&["x"], "a")];
        assert_eq!(sort_nodes(&nodes), Ok(vec![2, 1, 0]));
    }

    #[test]
    fn cycles_are_named() {
        assert_eq!(sort_nodes(&[node(&["b"], "a"), node(&["a"], "b")]), Err("a".to_string()));
        assert_eq!(sort_nodes(&[node(&["a"], "a")]), Err("a".to_string()));
    }
}
