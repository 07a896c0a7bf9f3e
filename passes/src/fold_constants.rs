//! Evaluates subgraphs that depend on constants only.

mod quick;

use crate::error::PassError;
use crate::pass::{Changed, Context, Pass};
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::{Class, Op};
use lostwax_ir::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// See [`fold_constants`].
pub const PASS: Pass = Pass {
    name: "fold_constants",
    doc: "Evaluates what depends on constants only, unless that grows the data much.",
    run: fold_constants,
};

/// Evaluates what depends on constants only.
///
/// A value that something else needs is replaced by a constant unless it is much larger than the constants it is made
/// from; of such a value the parts that do not grow are still replaced.
pub fn fold_constants(graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
    let mut folder = Folder::new(graph, ctx.limits.folded_bytes);
    let frontier = folder.frontier();
    for value in &frontier {
        folder.fold(*value);
    }
    let folded = folder.folded;
    let changed = !folded.is_empty();
    for (value, tensor) in folded {
        replace(graph, value, tensor)?;
    }
    if changed {
        graph.set_origin([]);
        graph.remove_dead();
    }
    Ok(changed.into())
}

fn replace(graph: &mut Graph, value: Value, tensor: Arc<Tensor>) -> Result<(), PassError> {
    graph.set_origin(graph.node(value).origin.clone());
    let constant = graph.constant(tensor).map_err(|source| PassError::InvalidNode { pass: PASS.name, source })?;
    graph.replace_uses(value, constant);
    Ok(())
}

struct Folder<'a> {
    graph: &'a Graph,
    /// Values that depend on constants only, with the bytes of those constants.
    sources: HashMap<Value, usize>,
    known: HashMap<Value, Option<Arc<Tensor>>>,
    folded: BTreeMap<Value, Arc<Tensor>>,
    limit: usize,
}

impl<'a> Folder<'a> {
    fn new(graph: &'a Graph, limit: usize) -> Self {
        let mut folder = Self { graph, sources: HashMap::new(), known: HashMap::new(), folded: BTreeMap::new(), limit };
        for value in graph.topological() {
            if let Some(bytes) = folder.source_bytes(value) {
                folder.sources.insert(value, bytes);
            }
        }
        folder
    }

    fn source_bytes(&self, value: Value) -> Option<usize> {
        if let Some(tensor) = self.graph.as_constant(value) {
            return Some(tensor.bytes().len());
        }
        let node = self.graph.node(value);
        if node.op.is_input()
            || node.op.def().class == Class::Decode
            || node.ty.static_shape().is_none()
            || !is_static(&node.attrs)
        {
            return None;
        }
        self.graph
            .operands(value)
            .iter()
            .try_fold(0usize, |total, operand| Some(total.saturating_add(*self.sources.get(operand)?)))
    }

    /// Computed values that something other than a constant computation needs.
    fn frontier(&self) -> BTreeSet<Value> {
        let outputs: BTreeSet<Value> = self.graph.outputs().iter().map(|output| output.value).collect();
        let needed = |value: &Value| {
            outputs.contains(value) || self.graph.uses(*value).iter().any(|(user, _)| !self.sources.contains_key(user))
        };
        self.sources.keys().copied().filter(|value| self.graph.op(*value) != Op::Constant && needed(value)).collect()
    }

    /// Replaces `value`, or else the largest parts of it that do not grow.
    fn fold(&mut self, value: Value) {
        if self.folded.contains_key(&value) || self.graph.op(value) == Op::Constant {
            return;
        }
        let tensor = if self.grows(value) { None } else { self.evaluate(value) };
        match tensor {
            Some(tensor) => {
                self.folded.insert(value, tensor);
            }
            None => self.graph.operands(value).into_iter().for_each(|operand| self.fold(operand)),
        }
    }

    fn grows(&self, value: Value) -> bool {
        let bytes = self.graph.ty(value).byte_count().as_constant().and_then(|bytes| usize::try_from(bytes).ok());
        let sources = self.sources.get(&value).copied().unwrap_or(0);
        bytes.is_none_or(|bytes| bytes > self.limit.max(sources.saturating_mul(2)))
    }

    fn evaluate(&mut self, value: Value) -> Option<Arc<Tensor>> {
        for pending in self.pending(value) {
            let result = self.evaluate_node(pending);
            self.known.insert(pending, result);
        }
        self.known.get(&value)?.clone()
    }

    /// The values without a result that `value` needs, operands first.
    fn pending(&self, value: Value) -> Vec<Value> {
        let (mut order, mut seen, mut stack) = (Vec::new(), BTreeSet::new(), vec![(value, false)]);
        while let Some((value, done)) = stack.pop() {
            if done {
                order.push(value);
            } else if !self.known.contains_key(&value) && seen.insert(value) {
                stack.push((value, true));
                stack.extend(self.graph.operands(value).into_iter().map(|operand| (operand, false)));
            }
        }
        order
    }

    fn evaluate_node(&self, value: Value) -> Option<Arc<Tensor>> {
        if let Some(tensor) = self.graph.as_constant(value) {
            return Some(tensor.clone());
        }
        let node = self.graph.node(value);
        let operands: Vec<Arc<Tensor>> =
            self.graph.operands(value).iter().map(|operand| self.known.get(operand)?.clone()).collect::<Option<_>>()?;
        let operands: Vec<&Tensor> = operands.iter().map(Arc::as_ref).collect();
        let result = quick::evaluate(node.op, &operands, &node.attrs, &node.ty);
        result.or_else(|| (node.op.def().eval)(&operands, &node.attrs, &node.ty)).map(Arc::new)
    }
}

/// Whether no attribute mentions a symbol.
fn is_static(attrs: &Attrs) -> bool {
    attrs.iter().all(|(_, attr)| match attr {
        Attr::Dims(dims) => dims.iter().all(|dim| dim.as_constant().is_some()),
        Attr::Int(_) | Attr::Float(_) | Attr::Bool(_) | Attr::Ints(_) | Attr::DType(_) | Attr::Text(_) => true,
    })
}
