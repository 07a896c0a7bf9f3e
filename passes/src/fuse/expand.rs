//! Putting the computes of a group together.

use super::Group;
use super::decide::Decisions;
use crate::schedule::map_dims;
use lostwax_ir::compute::{Body, Compute, Step, StepId};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::kernel::Cond;
use lostwax_ir::types::TensorType;
use std::collections::BTreeMap;

/// The group that stores `root`.
pub(super) fn group(graph: &Graph, computes: &BTreeMap<Value, Compute>, decisions: &Decisions<'_>, root: Value) -> Group {
    let mut expander = Expander::new(graph, computes, decisions, root);
    let reduced = decisions.reductions.get(&root).copied().unwrap_or(root);
    let template = &computes[&reduced];
    let operands = graph.operands(reduced);
    let reduction =
        template.reduction.as_ref().map(|reduction| reduction.map_bodies(|body| expander.inline_body(body, &operands)));
    let mut result = Body::default();
    expander.reduced = reduction.is_some().then(|| (reduced, template.coords.clone()));
    if reduced == root {
        result = expander.inline_body(&template.result, &graph.operands(root));
    } else {
        expander.value(&mut result, root, &template.coords);
    }
    let output = TensorType { dtype: graph.ty(root).dtype, dims: template.output.dims.clone() };
    let compute = Compute {
        inputs: expander.inputs.iter().map(|value| graph.ty(*value).clone()).collect(),
        output,
        axes: template.axes.clone(),
        coords: template.coords.clone(),
        reduction,
        result,
    };
    expander.members.push(root);
    expander.members.sort();
    expander.members.dedup();
    let start = vec![Dim::default(); graph.ty(root).rank()];
    Group { compute, inputs: expander.inputs, output: root, start, members: expander.members }
}

/// Whether the group of `root` reads `reduced` only at the coordinates at which it is written.
pub(super) fn reads_in_place(
    graph: &Graph,
    computes: &BTreeMap<Value, Compute>,
    decisions: &Decisions<'_>,
    root: Value,
    reduced: Value,
) -> bool {
    let template = &computes[&reduced];
    if graph.ty(root).dims != template.output.dims {
        return false;
    }
    let mut expander = Expander::new(graph, computes, decisions, root);
    expander.reduced = Some((reduced, template.coords.clone()));
    expander.value(&mut Body::default(), root, &template.coords);
    !expander.misread
}

/// The compute with its loads of input `slot` replaced by what an operand of one input computes there.
pub(super) fn inline_operand(consumer: &Compute, slot: u32, operand: &Compute) -> Compute {
    let mut result = consumer.clone();
    if let (Some(input), Some(source)) = (result.inputs.get_mut(slot as usize), operand.inputs.first()) {
        *input = source.clone();
    }
    if let Some(reduction) = &mut result.reduction {
        *reduction = reduction.map_bodies(|body| inline_loads(body, slot, operand));
    }
    result
}

fn inline_loads(body: &Body, slot: u32, operand: &Compute) -> Body {
    let (mut result, mut copied) = (Body::default(), Vec::with_capacity(body.steps.len()));
    for step in &body.steps {
        let copy = match step {
            Step::Load { input, coords, valid, .. } if *input == slot => append_at(&mut result, slot, operand, coords, valid),
            step => result.push(step.with_operands(&|id| copied.get(id.0 as usize).copied().unwrap_or(id))),
        };
        copied.push(copy);
    }
    result
}

/// Appends the element of `operand` at `coords`, whose input is input `slot` of the body; its loads happen where `guard` holds too.
fn append_at(body: &mut Body, slot: u32, operand: &Compute, coords: &[Dim], guard: &Cond) -> StepId {
    let at = |symbol: &Symbol| position_of(operand, symbol).and_then(|axis| coords.get(axis).cloned());
    let first = body.steps.len() as u32;
    let mut last = StepId(first);
    for step in &map_dims(&operand.result, &|dim| dim.substitute(&at)).steps {
        let mut step = step.with_operands(&|id| StepId(id.0 + first));
        if let Step::Load { input, valid, .. } = &mut step {
            *input = slot;
            *valid = std::mem::take(valid).and(guard.clone()).simplify();
        }
        last = body.push(step);
    }
    last
}

fn position_of(compute: &Compute, symbol: &Symbol) -> Option<usize> {
    compute.axes.iter().position(|axis| axis.symbol == *symbol)
}

struct Expander<'a> {
    graph: &'a Graph,
    computes: &'a BTreeMap<Value, Compute>,
    decisions: &'a Decisions<'a>,
    root: Value,
    inputs: Vec<Value>,
    members: Vec<Value>,
    /// The reduction of the group and the coordinates at which it is written, once its value is complete.
    reduced: Option<(Value, Vec<Dim>)>,
    /// Whether the reduction was read at other coordinates.
    misread: bool,
    known: BTreeMap<(Value, Vec<Dim>), StepId>,
    fresh: u32,
}

impl<'a> Expander<'a> {
    fn new(graph: &'a Graph, computes: &'a BTreeMap<Value, Compute>, decisions: &'a Decisions<'a>, root: Value) -> Self {
        Self {
            graph,
            computes,
            decisions,
            root,
            inputs: Vec::new(),
            members: Vec::new(),
            reduced: None,
            misread: false,
            known: BTreeMap::new(),
            fresh: 0,
        }
    }

    /// A body with its loads of operands expanded.
    fn inline_body(&mut self, body: &Body, operands: &[Value]) -> Body {
        self.known.clear();
        let mut result = Body::default();
        self.steps(&mut result, body, operands, &|dim| dim.clone());
        self.known.clear();
        result
    }

    /// Appends the element of `value` at `coords`.
    fn value(&mut self, body: &mut Body, value: Value, coords: &[Dim]) -> StepId {
        let key = (value, coords.to_vec());
        if let Some(step) = self.known.get(&key) {
            return *step;
        }
        let is_reduction = self.reduced.as_ref().is_some_and(|(reduced, _)| *reduced == value);
        let step = if is_reduction {
            self.reduction_result(body, value, coords)
        } else if value == self.root || self.decisions.is_inside(value, self.root) {
            self.inlined(body, value, coords)
        } else {
            self.load(body, value, coords)
        };
        self.known.insert(key, step);
        step
    }

    fn reduction_result(&mut self, body: &mut Body, value: Value, coords: &[Dim]) -> StepId {
        self.misread |= self.reduced.as_ref().is_some_and(|(_, written)| written != coords);
        self.members.push(value);
        let result = self.computes[&value].result.clone();
        let operands = self.graph.operands(value);
        self.steps(body, &result, &operands, &|dim| dim.clone())
    }

    fn inlined(&mut self, body: &mut Body, value: Value, coords: &[Dim]) -> StepId {
        self.members.push(value);
        let compute = &self.computes[&value];
        let operands = self.graph.operands(value);
        let at = |symbol: &Symbol| position_of(compute, symbol).and_then(|axis| coords.get(axis).cloned());
        self.steps(body, &compute.result, &operands, &|dim| dim.substitute(&at))
    }

    fn load(&mut self, body: &mut Body, value: Value, coords: &[Dim]) -> StepId {
        if let Some(step) = self.literal(value) {
            return body.push(step);
        }
        let input = self.inputs.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.inputs.push(value);
            self.inputs.len() - 1
        });
        body.load(input as u32, coords.to_vec())
    }

    /// Constants of one element become part of the kernel.
    fn literal(&self, value: Value) -> Option<Step> {
        let tensor = self.graph.as_constant(value).filter(|tensor| tensor.len() == 1)?;
        let dtype = tensor.dtype();
        if dtype.is_float() {
            tensor.to_f64().first().map(|number| Step::Float(dtype, number.to_bits()))
        } else {
            tensor.to_i64().first().map(|number| Step::Int(dtype, *number))
        }
    }

    /// Appends the steps of `source`, with dims rewritten and loads of operands expanded; gives the last one.
    fn steps(&mut self, body: &mut Body, source: &Body, operands: &[Value], rewrite: &dyn Fn(&Dim) -> Dim) -> StepId {
        let mut ids: Vec<StepId> = Vec::with_capacity(source.steps.len());
        let mut dynamic: BTreeMap<Symbol, Dim> = BTreeMap::new();
        for step in &map_dims(source, rewrite).steps {
            let renamed = |dim: &Dim| dim.substitute(&|symbol| dynamic.get(symbol).cloned());
            let step = &map_dims(&Body { steps: vec![step.clone()] }, &renamed).steps[0];
            let id = self.step(body, step, operands, &ids, &mut dynamic);
            ids.push(id);
        }
        ids.last().copied().unwrap_or(StepId(0))
    }

    fn step(
        &mut self,
        body: &mut Body,
        step: &Step,
        operands: &[Value],
        ids: &[StepId],
        dynamic: &mut BTreeMap<Symbol, Dim>,
    ) -> StepId {
        let of = |id: StepId| ids.get(id.0 as usize).copied().unwrap_or(StepId(0));
        let renumbered = match step {
            Step::Load { input, coords, valid, otherwise } => {
                let operand = operands.get(*input as usize).copied();
                return self.operand(body, operand.unwrap_or(self.root), coords, valid, *otherwise);
            }
            Step::Dynamic(symbol, value) => {
                self.fresh += 1;
                let fresh = Symbol::new(format!("{}_{}", symbol.name(), self.fresh), symbol.min(), symbol.max());
                dynamic.insert(symbol.clone(), Dim::symbol(&fresh));
                Step::Dynamic(fresh, of(*value))
            }
            other => other.with_operands(&of),
        };
        body.push(renumbered)
    }

    /// Appends a load of an operand: a plain one is expanded further; a guarded one stays a load where the operand is
    /// stored, and guards the expanded value elsewhere.
    fn operand(&mut self, body: &mut Body, operand: Value, coords: &[Dim], valid: &Cond, otherwise: u64) -> StepId {
        if valid.always() {
            return self.value(body, operand, coords);
        }
        let before = body.steps.len();
        let unguarded = self.known.clone();
        let step = self.value(body, operand, coords);
        self.known = unguarded;
        for inner in &mut body.steps[before..] {
            if let Step::Load { valid: condition, .. } = inner {
                *condition = std::mem::take(condition).and(valid.clone()).simplify();
            }
        }
        if let Some(Step::Load { otherwise: value, .. }) = body.steps.get_mut(before).filter(|_| before as u32 == step.0) {
            *value = otherwise;
            return step;
        }
        let dtype = self.graph.ty(operand).dtype;
        let fallback = if dtype.is_float() { Step::Float(dtype, otherwise) } else { Step::Int(dtype, otherwise as i64) };
        let fallback = body.push(fallback);
        body.push(Step::SelectIf(valid.clone(), step, fallback))
    }
}
