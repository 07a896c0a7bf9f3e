//! Cuts large graphs into regions that are transformed one by one.

use crate::canonicalize::constant_values;
use crate::error::PassError;
use lostwax_ir::graph::{Graph, TypeError, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Transforms one region.
pub type Transform<'a> = dyn FnMut(&Graph) -> Result<Graph, PassError> + 'a;

/// Applies `transform` to regions of at most about `size` nodes that run one after the other, and puts the results together.
///
/// Cuts are made where the fewest tensors are live. Constants belong to every region that uses them.
///
/// # Errors
/// Those of `transform`.
pub fn map(graph: &Graph, size: usize, transform: &mut Transform<'_>) -> Result<Graph, PassError> {
    let constants = constant_values(graph);
    let order: Vec<Value> = graph.topological().into_iter().filter(|value| is_computed(graph, *value, &constants)).collect();
    if order.len() <= size {
        return transform(graph);
    }
    let cuts = cuts(graph, &order, size.max(2));
    let mut joiner = Joiner::new(graph).map_err(invalid)?;
    for (start, end) in cuts {
        let region = joiner.region(&order[start..end]).map_err(invalid)?;
        let result = transform(&region.graph)?;
        joiner.join(&region, &result).map_err(invalid)?;
    }
    joiner.finish().map_err(invalid)
}

fn invalid(source: TypeError) -> PassError {
    PassError::InvalidNode { pass: "regions", source }
}

fn is_computed(graph: &Graph, value: Value, constants: &std::collections::HashSet<Value>) -> bool {
    !graph.op(value).is_input() && !constants.contains(&value)
}

/// The ranges of `order` that make regions.
fn cuts(graph: &Graph, order: &[Value], size: usize) -> Vec<(usize, usize)> {
    let live = live_counts(graph, order);
    let mut ranges = Vec::new();
    let mut start = 0;
    while order.len() - start > size {
        let window = start + size / 2..=start + size;
        let end = window.rev().min_by_key(|end| live[*end]).unwrap_or(start + size);
        ranges.push((start, end));
        start = end;
    }
    ranges.push((start, order.len()));
    ranges
}

/// How many tensors are needed on both sides of every cut.
fn live_counts(graph: &Graph, order: &[Value]) -> Vec<usize> {
    let positions: HashMap<Value, usize> = order.iter().enumerate().map(|(position, value)| (*value, position)).collect();
    let mut changes = vec![0isize; order.len() + 2];
    for (position, value) in order.iter().enumerate() {
        let last = graph.uses(*value).iter().filter_map(|(user, _)| positions.get(user)).max();
        if let Some(last) = last {
            changes[position + 1] += 1;
            changes[last + 1] -= 1;
        }
    }
    let mut count = 0isize;
    changes
        .iter()
        .map(|change| {
            count += change;
            count.unsigned_abs()
        })
        .collect()
}

/// A part of a graph as a graph of its own.
struct Region {
    graph: Graph,
    /// The source of every input.
    inputs: Vec<Value>,
    /// The source of every output.
    outputs: Vec<Value>,
}

/// The transformed regions as one graph.
struct Joiner<'a> {
    source: &'a Graph,
    result: Graph,
    values: HashMap<Value, Value>,
}

impl<'a> Joiner<'a> {
    fn new(source: &'a Graph) -> Result<Self, TypeError> {
        let mut joiner = Self { source, result: Graph::new(source.name.clone()), values: HashMap::new() };
        for input in source.inputs() {
            let value = copy_node(source, *input, &mut joiner.result, &[])?;
            joiner.values.insert(*input, value);
        }
        Ok(joiner)
    }

    fn region(&self, members: &[Value]) -> Result<Region, TypeError> {
        let mut region = Region { graph: Graph::new(self.source.name.clone()), inputs: Vec::new(), outputs: Vec::new() };
        let inside: BTreeSet<Value> = members.iter().copied().collect();
        let mut values: BTreeMap<Value, Value> = BTreeMap::new();
        for member in members {
            self.add(*member, &inside, &mut region, &mut values)?;
        }
        let results: BTreeSet<Value> = self.source.outputs().iter().map(|output| output.value).collect();
        for member in members {
            let leaves = self.source.uses(*member).iter().any(|(user, _)| !inside.contains(user));
            if leaves || results.contains(member) {
                region.graph.output(&format!("v{}", member.index()), values[member]);
                region.outputs.push(*member);
            }
        }
        add_constraints(self.source, &mut region.graph)?;
        region.graph.set_origin([]);
        Ok(region)
    }

    /// Adds a node with the inputs and constants that it needs.
    fn add(
        &self,
        value: Value,
        inside: &BTreeSet<Value>,
        region: &mut Region,
        values: &mut BTreeMap<Value, Value>,
    ) -> Result<(), TypeError> {
        let mut stack = vec![value];
        while let Some(value) = stack.last().copied() {
            let operands = self.source.operands(value);
            let imported = self.values.contains_key(&value) && !inside.contains(&value);
            let missing: Vec<Value> =
                operands.iter().copied().filter(|operand| !imported && !values.contains_key(operand)).collect();
            if values.contains_key(&value) {
                stack.pop();
            } else if imported {
                let input = region.graph.input(&format!("v{}", value.index()), self.source.ty(value))?;
                region.inputs.push(value);
                values.insert(value, input);
            } else if missing.is_empty() {
                let operands: Vec<Value> = operands.iter().map(|operand| values[operand]).collect();
                values.insert(value, copy_node(self.source, value, &mut region.graph, &operands)?);
            } else {
                stack.extend(missing);
            }
        }
        Ok(())
    }

    fn join(&mut self, region: &Region, optimized: &Graph) -> Result<(), TypeError> {
        let mut values: HashMap<Value, Value> = HashMap::new();
        for (input, source) in optimized.inputs().iter().zip(&region.inputs) {
            values.insert(*input, self.values[source]);
        }
        for value in optimized.topological() {
            if !values.contains_key(&value) {
                let operands: Vec<Value> = optimized.operands(value).iter().map(|operand| values[operand]).collect();
                let copy = copy_node(optimized, value, &mut self.result, &operands)?;
                values.insert(value, copy);
            }
        }
        for (output, source) in optimized.outputs().iter().zip(&region.outputs) {
            self.values.insert(*source, values[&output.value]);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Graph, TypeError> {
        for output in self.source.outputs() {
            let value = match self.values.get(&output.value) {
                Some(value) => *value,
                None => self.constant(output.value)?,
            };
            self.result.output(&output.name, value);
        }
        add_constraints(self.source, &mut self.result)?;
        self.result.set_origin([]);
        Ok(self.result)
    }

    /// An output that depends on constants only.
    fn constant(&mut self, value: Value) -> Result<Value, TypeError> {
        let operands = self.source.operands(value);
        let operands = operands.into_iter().map(|operand| self.constant(operand)).collect::<Result<Vec<_>, _>>()?;
        copy_node(self.source, value, &mut self.result, &operands)
    }
}

fn add_constraints(from: &Graph, to: &mut Graph) -> Result<(), TypeError> {
    from.constraints().try_for_each(|constraint| to.require_equal(&constraint.left, &constraint.right, &constraint.reason))
}

fn copy_node(from: &Graph, value: Value, to: &mut Graph, operands: &[Value]) -> Result<Value, TypeError> {
    let node = from.node(value);
    to.set_origin(node.origin.clone());
    match from.as_constant(value) {
        Some(tensor) => to.constant(tensor.clone()),
        None => to.add(node.op, node.attrs.clone(), operands),
    }
}
