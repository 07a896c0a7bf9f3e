//! Which values are stored, inlined or shared.

use super::Alias;
use super::expand;
use super::states::{Next, Transfer};
use crate::schedule::{Nest, View, is_contraction, is_weighted};
use lostwax_ir::compute::{Compute, Reduction, Step, StepId};
use lostwax_ir::dim::{Dim, Symbol, product};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::{Class, Op};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An input or a constant.
    Given,
    /// Stored by a group of its own.
    Stored,
    /// Computed inside the groups that use it.
    Inlined,
    /// The memory of another value.
    Alias,
    /// A concatenation, or a state with an update: its slices are stored one by one.
    Assembled,
}

/// All decisions about one graph.
pub(super) struct Decisions<'a> {
    graph: &'a Graph,
    computes: &'a BTreeMap<Value, Compute>,
    /// How states get their next values.
    pub(super) next: &'a [Next],
    decided: BTreeMap<Value, Decision>,
    /// The groups, by stored value, into which an inlined value goes.
    roots: BTreeMap<Value, BTreeSet<Value>>,
    /// The reduction that is fused into a group, by stored value; none where that is the reduction itself.
    pub(super) reductions: BTreeMap<Value, Value>,
    pub(super) aliases: BTreeMap<Value, Alias>,
    /// For each value stored as a slice of another, its position among the operands of that.
    positions: BTreeMap<Value, usize>,
    /// The maximum number of arguments of a group, its output among them.
    arguments: usize,
}

/// Inputs and constants: values that no group computes.
pub fn is_given(graph: &Graph, value: Value) -> bool {
    graph.op(value).is_input() || graph.op(value) == Op::Constant
}

/// The slices that operands of a concatenation or an update become: the operand and the coordinates at which its slice starts.
pub(super) fn slices(graph: &Graph, value: Value) -> Vec<(Value, Vec<Dim>)> {
    let node = graph.node(value);
    if node.op.def().class == Class::Update {
        let starts = node.attrs.dims("starts");
        return graph.operands(value).into_iter().skip(1).map(|update| (update, starts.to_vec())).collect();
    }
    let axis = usize::try_from(node.attrs.int("axis")).unwrap_or(0);
    let mut offset = Dim::default();
    let slice = |operand: Value| {
        let start = (0..node.ty.rank()).map(|i| if i == axis { offset.clone() } else { Dim::default() }).collect();
        offset = offset.clone() + graph.ty(operand).dims.get(axis).cloned().unwrap_or_default();
        (operand, start)
    };
    graph.operands(value).into_iter().map(slice).collect()
}

/// The value that is stored where `value` is another view of it; inputs and states do not count.
pub(super) fn aliased(graph: &Graph, aliases: &BTreeMap<Value, Alias>, value: Value) -> Value {
    match aliases.get(&value) {
        Some(Alias::Whole(target)) if !is_given(graph, *target) => aliased(graph, aliases, *target),
        Some(Alias::Whole(_) | Alias::Slice(..)) | None => value,
    }
}

/// Whether the compute only moves elements: its result is one load.
fn is_movement(compute: &Compute) -> bool {
    compute.reduction.is_none() && matches!(compute.result.steps.as_slice(), [Step::Load { .. }])
}

/// Whether the compute only converts numbers to a wider floating-point type: what is stored is smaller, and nothing is lost.
fn is_widening(compute: &Compute) -> bool {
    let [Step::Load { .. }, Step::Cast(to, StepId(0))] = compute.result.steps.as_slice() else { return false };
    let exact = |from: &DType| from.size() < to.size() && (from.is_float() || 2 * from.size() <= to.size());
    compute.reduction.is_none() && to.is_float() && compute.inputs.first().is_some_and(|input| exact(&input.dtype))
}

/// Whether the compute is a product of two elements.
fn is_scaling(compute: &Compute) -> bool {
    let steps = compute.result.steps.as_slice();
    compute.reduction.is_none() && matches!(steps, [Step::Load { .. }, Step::Load { .. }, Step::Binary(BinaryOp::Mul, ..)])
}

/// Whether the compute reads nothing.
fn is_free(compute: &Compute) -> bool {
    compute.reduction.is_none() && compute.inputs.is_empty()
}

/// Whether the compute keeps all elements in their order, so that its result can share the operand's memory.
fn is_relayout(compute: &Compute) -> bool {
    let [Step::Load { input: 0, coords, valid, .. }] = compute.result.steps.as_slice() else { return false };
    let Some(input) = compute.inputs.first() else { return false };
    compute.reduction.is_none()
        && valid.always()
        && input.element_count() == compute.output.element_count()
        && View::dense(input).index(coords) == View::dense(&compute.output).index(&compute.coords)
}

/// Whether the compute is a single operation that costs little more than reading its result would.
fn is_light(compute: &Compute) -> bool {
    let [loads @ .., Step::Unary(UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Recip, _)] = compute.result.steps.as_slice() else {
        return false;
    };
    compute.reduction.is_none() && loads.iter().all(|step| matches!(step, Step::Load { .. }))
}

/// Whether neighbouring elements of the result read the same element of an operand, so that it is computed once for all of them.
fn is_shared_by_neighbours(consumer: &Compute, slot: u32) -> bool {
    let Some(last) = consumer.axes.last() else { return false };
    let steps = &consumer.result.steps;
    let looked_up = steps.iter().filter_map(|step| if let Step::Dynamic(symbol, _) = step { Some(symbol) } else { None });
    let differing: Vec<&Symbol> = looked_up.chain([&last.symbol]).collect();
    let is_alike = |coord: &Dim| !differing.iter().any(|symbol| coord.mentions(symbol));
    let mut loads = steps.iter().filter_map(|step| match step {
        Step::Load { input, coords, .. } if *input == slot => Some(coords),
        _ => None,
    });
    loads.all(|coords| coords.iter().all(is_alike))
}

/// Points of the iteration space, reduced loops included.
fn iterations(compute: &Compute) -> Dim {
    let reduced = compute.reduction.iter().flat_map(|reduction| &reduction.axes);
    product(compute.axes.iter().chain(reduced).map(|axis| &axis.extent))
}

/// Whether each element of an operand is read by many points of the nest, as neighbours where it pays.
fn is_product(nest: &Nest) -> bool {
    is_contraction(nest) || is_weighted(nest)
}

fn reads(reduction: &Reduction, input: u32) -> bool {
    let mut steps = reduction.bodies().flat_map(|body| &body.steps);
    steps.any(|step| matches!(step, Step::Load { input: candidate, .. } if *candidate == input))
}

impl<'a> Decisions<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        order: &[Value],
        computes: &'a BTreeMap<Value, Compute>,
        next: &'a [Next],
        arguments: usize,
    ) -> Self {
        let mut decisions = Self {
            graph,
            computes,
            next,
            decided: BTreeMap::new(),
            roots: BTreeMap::new(),
            reductions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            positions: BTreeMap::new(),
            arguments,
        };
        let mut pinned: BTreeSet<Value> = graph.outputs().iter().map(|output| output.value).collect();
        for value in order.iter().rev() {
            decisions.decide(*value, &mut pinned);
        }
        for value in order.iter().rev() {
            decisions.fuse_reduction(*value, &pinned);
        }
        for next in next.iter().filter(|next| next.is_written_whole()) {
            decisions.alias_next(next);
        }
        for value in order.iter().rev() {
            decisions.alias_slices(*value);
        }
        decisions
    }

    /// The position of a next value that should be made in the memory of its state and is not.
    pub(super) fn unfit(&self) -> Option<usize> {
        let stored = |next: &Next| aliased(self.graph, &self.aliases, next.value);
        let is_aliased = |next: &Next| self.aliases.get(&stored(next)) == Some(&Alias::Whole(next.state));
        self.next.iter().position(|next| next.is_written_whole() && !is_aliased(next))
    }

    pub(super) fn decision(&self, value: Value) -> Decision {
        self.decided.get(&value).copied().unwrap_or(Decision::Given)
    }

    /// The state in whose memory `value`, an update, happens; `None` for other values.
    fn updated_state(&self, value: Value) -> Option<Value> {
        self.next.iter().find(|next| next.updates_in_place().contains(&value)).map(|next| next.state)
    }

    /// Whether a value is used by updates in place, which it can be written straight into, and by nothing else.
    fn only_updates(&self, value: Value) -> bool {
        let uses = self.graph.uses(value);
        let writes = |user: Value| self.updated_state(user).is_some() && !self.is_copied(user);
        !uses.is_empty() && uses.iter().all(|(user, _)| writes(*user))
    }

    /// Whether `value` is computed inside the group that stores `root`.
    pub(super) fn is_inside(&self, value: Value, root: Value) -> bool {
        self.decision(value) == Decision::Inlined && self.roots.get(&value).is_some_and(|roots| roots.contains(&root))
    }

    /// Whether operand `position` of concatenation `whole` is stored there by its own group.
    pub(super) fn stored_in_place(&self, operand: Value, whole: Value, position: usize) -> bool {
        matches!(self.aliases.get(&operand), Some(Alias::Slice(parent, _)) if *parent == whole)
            && self.positions.get(&operand) == Some(&position)
    }

    fn set(&mut self, value: Value, decision: Decision) {
        self.decided.insert(value, decision);
        if decision == Decision::Stored {
            self.roots.insert(value, BTreeSet::from([value]));
        }
    }

    fn decide(&mut self, value: Value, pinned: &mut BTreeSet<Value>) {
        if is_given(self.graph, value) {
            return self.set(value, Decision::Given);
        }
        if let Some(state) = self.updated_state(value) {
            self.aliases.insert(value, Alias::Whole(state));
            return self.set(value, Decision::Assembled);
        }
        let Some(compute) = self.computes.get(&value) else {
            return self.set(value, Decision::Assembled);
        };
        if self.shares_memory(value, compute)
            && !self.is_decoded(value)
            && self.can_alias(value, pinned)
            && !self.only_updates(value)
        {
            let operand = self.graph.operands(value)[0];
            pinned.insert(operand);
            self.aliases.insert(value, Alias::Whole(operand));
            return self.set(value, Decision::Alias);
        }
        if pinned.contains(&value) || !self.inline(value, compute) {
            self.set(value, Decision::Stored);
        }
    }

    /// Whether the value can be the memory of its operand.
    fn shares_memory(&self, value: Value, compute: &Compute) -> bool {
        is_relayout(compute) || self.graph.op(value).def().class == Class::Reinterpretation
    }

    /// Outputs may share memory only with values that are computed and are not outputs themselves.
    fn can_alias(&self, value: Value, pinned: &BTreeSet<Value>) -> bool {
        let operand = self.graph.operands(value)[0];
        let is_output = |value: Value| self.graph.outputs().iter().any(|output| output.value == value);
        !is_output(value)
            || !(is_given(self.graph, operand)
                || pinned.contains(&operand)
                || self.computes.get(&operand).is_none_or(is_relayout))
    }

    /// Inlines `value` into all groups that use it, if that pays. Returns whether it did.
    fn inline(&mut self, value: Value, compute: &Compute) -> bool {
        if compute.reduction.is_some() {
            return false;
        }
        let cheap = is_movement(compute) || is_free(compute) || self.is_decoded(value);
        let mut roots = BTreeSet::new();
        for (user, slot) in self.graph.uses(value) {
            if !self.accepts(user, slot, value, compute) {
                return false;
            }
            roots.extend(self.roots.get(&user).into_iter().flatten().copied());
        }
        let pays = roots.len() == 1 || (cheap && !roots.is_empty());
        if pays && roots.iter().all(|root| self.has_room(*root, value)) {
            self.roots.insert(value, roots);
            self.decided.insert(value, Decision::Inlined);
            return true;
        }
        false
    }

    /// Whether the group of `root` stays within the most arguments when it computes `value` itself.
    fn has_room(&self, root: Value, value: Value) -> bool {
        if self.arguments >= u32::MAX as usize {
            return true;
        }
        let inside = self.roots.iter().filter(|(_, roots)| roots.contains(&root)).map(|(member, _)| *member);
        let members: BTreeSet<Value> = inside.chain([value]).collect();
        let read: BTreeSet<Value> = members.iter().flat_map(|member| self.graph.operands(*member)).collect();
        read.difference(&members).count() < self.arguments
    }

    /// Whether `user` may compute its operand `value` itself.
    fn accepts(&self, user: Value, slot: u32, value: Value, compute: &Compute) -> bool {
        let computes = !matches!(self.decision(user), Decision::Alias | Decision::Assembled);
        let Some(consumer) = self.computes.get(&user).filter(|_| computes) else { return false };
        let count = self.graph.ty(value).element_count();
        let once = iterations(consumer).prove_le(&count) == Some(true);
        let decoded = self.is_decoded(value);
        let cheap = is_free(compute) || is_movement(compute) || decoded;
        match &consumer.reduction {
            Some(reduction) if reads(reduction, slot) => {
                if decoded {
                    true
                } else if is_product(&Nest::dense(consumer)) {
                    let cheap = is_movement(compute) || is_widening(compute) || self.is_scaled(value, compute);
                    cheap && self.contracts_well(consumer, slot, compute)
                } else {
                    once || is_free(compute)
                }
            }
            _ => once || cheap || (is_light(compute) && is_shared_by_neighbours(consumer, slot)),
        }
    }

    /// Whether this is a decoded constant, or a movement of one: what is stored nowhere but in its stored form.
    fn is_decoded(&self, value: Value) -> bool {
        let operands = self.graph.operands(value);
        match (self.graph.op(value).def().class, operands.as_slice()) {
            (Class::Decode, _) => true,
            (Class::Movement, [operand]) => self.is_decoded(*operand),
            _ => false,
        }
    }

    /// Whether the value is a product whose stored factors, numbers of few bits and scales, take at most half of its memory.
    fn is_scaled(&self, value: Value, compute: &Compute) -> bool {
        let operands = self.graph.operands(value);
        let stored = operands.iter().fold(Dim::default(), |sum, operand| sum + self.stored_bytes(*operand));
        is_scaling(compute) && (stored * 2.into()).prove_le(&self.graph.ty(value).byte_count()) == Some(true)
    }

    /// Bytes of a value, or of what it is converted from.
    fn stored_bytes(&self, value: Value) -> Dim {
        let converts = |compute: &&Compute| is_widening(compute);
        match (self.computes.get(&value).filter(converts), self.graph.operands(value).as_slice()) {
            (Some(_), [operand]) => {
                self.graph.ty(value).element_count() * Dim::constant(self.graph.ty(*operand).dtype.size() as i64)
            }
            _ => self.graph.ty(value).byte_count(),
        }
    }

    /// Whether the contraction still reads contiguous memory with the operand inlined.
    fn contracts_well(&self, consumer: &Compute, slot: u32, operand: &Compute) -> bool {
        let inlined = expand::inline_operand(consumer, slot, operand);
        let nest = Nest::dense(&inlined);
        is_product(&nest) && crate::schedule::reads_contiguously(&nest)
    }

    /// Fuses a reduction into the group that uses it, if that is the only group and reads it where it is written.
    fn fuse_reduction(&mut self, value: Value, pinned: &BTreeSet<Value>) {
        let reduces = self.computes.get(&value).is_some_and(|compute| compute.reduction.is_some());
        if !reduces || self.decision(value) != Decision::Stored || pinned.contains(&value) {
            return;
        }
        let users = self.graph.uses(value);
        let mut roots = BTreeSet::new();
        for (user, _) in &users {
            if !matches!(self.decision(*user), Decision::Stored | Decision::Inlined) {
                return;
            }
            roots.extend(self.roots.get(user).into_iter().flatten().copied());
        }
        let Some(root) = roots.first().copied().filter(|_| roots.len() == 1) else { return };
        let free =
            self.computes.get(&root).is_some_and(|compute| compute.reduction.is_none()) && !self.reductions.contains_key(&root);
        let has_room = || self.has_room(root, value);
        if free && has_room() && expand::reads_in_place(self.graph, self.computes, self, root, value) {
            self.reductions.insert(root, value);
            self.move_roots(value, root);
            self.decided.insert(value, Decision::Inlined);
        }
    }

    /// What was inlined into the group of `old` goes into that of `new`.
    fn move_roots(&mut self, old: Value, new: Value) {
        for roots in self.roots.values_mut() {
            if roots.remove(&old) {
                roots.insert(new);
            }
        }
    }

    /// Lets the groups of a next value write straight into its state.
    fn alias_next(&mut self, next: &Next) {
        let stored = aliased(self.graph, &self.aliases, next.value);
        let free = !self.aliases.contains_key(&stored) && matches!(self.decision(stored), Decision::Stored | Decision::Assembled);
        if free {
            self.aliases.insert(stored, Alias::Whole(next.state));
        }
    }

    /// Whether the slices of a value are copied to it.
    fn is_copied(&self, value: Value) -> bool {
        self.next.iter().any(|next| next.transfer == Transfer::UpdatesCopied && next.updates_in_place().contains(&value))
    }

    /// Lets the groups of a value's slices write straight into it.
    fn alias_slices(&mut self, value: Value) {
        if self.decision(value) != Decision::Assembled || self.is_copied(value) {
            return;
        }
        for (position, (operand, start)) in slices(self.graph, value).into_iter().enumerate() {
            let is_output = self.graph.outputs().iter().any(|output| output.value == operand);
            let aliased = self.aliases.values().any(|alias| *alias == Alias::Whole(operand));
            let free = !self.aliases.contains_key(&operand) && !aliased && !is_output;
            if free && matches!(self.decision(operand), Decision::Stored | Decision::Assembled) {
                self.aliases.insert(operand, Alias::Slice(value, start));
                self.positions.insert(operand, position);
            }
        }
    }
}
