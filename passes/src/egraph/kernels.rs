//! Kernels as candidates: a node with the nodes that its kernel computes too, instead of reading them from memory.
//!
//! One rule of absorption covers activations, biases, residuals, scales and chains of them in every layout: an elementwise
//! node computes an operand of its own size itself, whatever form that has, contractions included; a reduction or a movement
//! does so with operands that are elementwise. Nothing rewrites a kernel, so kernels never enter the e-graph: they are
//! candidates of the choice, beside the nodes that are stored each on its own. What two kernels absorb is computed twice and
//! paid for twice, so fusion competes with algebra and layout at honest prices.

use super::convert::Loaded;
use super::extract::{Candidate, Problem, Sharing};
use super::language::ENode;
use super::prices::Prices;
use crate::cost::Work;
use egg::Id;
use lostwax_ir::ops::Class;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that one kernel may hold.
const MEMBERS: usize = 12;

/// Forms of one class that the kernel of a user may absorb.
const ABSORBABLE: usize = 3;

/// Forms of one class that absorb something.
const FORMS: usize = 12;

/// Ways in which one node may absorb its operands.
const CHOICES: usize = 64;

/// Rounds of absorption; each lets kernels grow by one node along every path.
const ROUNDS: usize = 8;

/// A node of a class and what its kernel computes besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The node that gives the class its value.
    pub node: ENode,
    /// For each operand the form that is computed in the same kernel; `None` where the operand is read from memory.
    pub absorbed: Vec<Option<Form>>,
    /// What the kernel does.
    work: Work,
    /// Nodes of the kernel.
    members: usize,
    /// Whether a reduction or a contraction is among them.
    anchored: bool,
}

impl Form {
    /// A node that reads all its operands from memory.
    pub fn alone(node: ENode) -> Self {
        Self { absorbed: vec![None; node.operands().len()], node, work: Work::default(), members: 1, anchored: false }
    }

    /// The classes that are read from memory.
    pub fn reads(&self) -> Vec<Id> {
        let operands = self.node.operands().iter().zip(&self.absorbed);
        operands.flat_map(|(operand, form)| form.as_ref().map_or_else(|| vec![*operand], Form::reads)).collect()
    }

    /// Whether a kernel is needed: views and leaves are none.
    pub fn is_kernel(&self) -> bool {
        self.work.needs_kernel()
    }

    /// What the kernel costs with the write of its result, in picoseconds.
    pub fn cost(&self, prices: Prices<'_>) -> u64 {
        prices.kernel(&self.work)
    }
}

/// All ways to make each of these classes in one kernel, in a fixed order.
pub fn forms(loaded: &Loaded<'_>, prices: Prices<'_>, classes: &[Id]) -> BTreeMap<Id, Vec<Form>> {
    let numbers: BTreeMap<Id, usize> = classes.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let alone: BTreeMap<Id, Vec<Form>> = classes.iter().map(|id| (*id, alone(loaded, prices, *id))).collect();
    let candidate = |form: &Form| Candidate { cost: form.cost(prices), children: children(loaded, &numbers, form) };
    let candidates = classes.iter().map(|id| alone[id].iter().map(candidate).collect()).collect();
    let problem = Problem { classes: candidates, roots: Vec::new() };
    let kernels = Kernels { loaded, prices, forms: alone, numbers, unfused: Sharing::new(&problem) };
    kernels.grow(classes)
}

fn alone(loaded: &Loaded<'_>, prices: Prices<'_>, id: Id) -> Vec<Form> {
    loaded.nodes(id).filter_map(|node| form(loaded, prices, id, node, vec![None; node.operands().len()])).collect()
}

/// A node with some operands absorbed; `None` if the kernel would be too large or hold two reductions.
fn form(loaded: &Loaded<'_>, prices: Prices<'_>, id: Id, node: &ENode, absorbed: Vec<Option<Form>>) -> Option<Form> {
    let known = loaded.egraph[id].data.tensor()?;
    let inside = || absorbed.iter().flatten();
    let anchors = inside().filter(|form| form.anchored).count() + usize::from(is_anchor(node));
    let members = 1 + inside().map(|form| form.members).sum::<usize>();
    if anchors > 1 || members > MEMBERS {
        return None;
    }
    let parts: Vec<Option<Work>> = absorbed.iter().map(|form| form.as_ref().map(|form| form.work)).collect();
    let work = prices.work(&loaded.egraph, node, &known.ty, &parts);
    Some(Form { node: node.clone(), absorbed, work, members, anchored: anchors > 0 })
}

/// The numbers of the classes that a form reads and that are computed at run time.
fn children(loaded: &Loaded<'_>, numbers: &BTreeMap<Id, usize>, form: &Form) -> Vec<usize> {
    form.reads().into_iter().filter_map(|id| numbers.get(&loaded.egraph.find(id)).copied()).collect()
}

/// The forms found so far.
struct Kernels<'a> {
    loaded: &'a Loaded<'a>,
    prices: Prices<'a>,
    forms: BTreeMap<Id, Vec<Form>>,
    numbers: BTreeMap<Id, usize>,
    /// What classes cost when every node is a kernel of its own.
    unfused: Sharing<'a>,
}

impl Kernels<'_> {
    /// Lets kernels absorb what their operands have become, round by round.
    fn grow(mut self, classes: &[Id]) -> BTreeMap<Id, Vec<Form>> {
        let mut pending: Vec<Id> = classes.to_vec();
        for _ in 0..ROUNDS {
            let grown: Vec<(Id, Vec<Form>)> = pending.iter().filter_map(|id| Some((*id, self.grown(*id)?))).collect();
            let changed: BTreeSet<Id> = grown.iter().map(|(id, _)| *id).collect();
            self.forms.extend(grown);
            pending = classes.iter().copied().filter(|id| self.uses_any(*id, &changed)).collect();
        }
        self.forms
    }

    fn uses_any(&self, id: Id, changed: &BTreeSet<Id>) -> bool {
        let operands = |node: &ENode| node.operands().iter().any(|operand| changed.contains(&self.loaded.egraph.find(*operand)));
        self.loaded.nodes(id).any(operands)
    }

    /// The forms of a class with what its operands have become; `None` if they are as before.
    fn grown(&self, id: Id) -> Option<Vec<Form>> {
        let mut forms: Vec<Form> = Vec::new();
        for node in self.loaded.nodes(id) {
            let choices = self.choices(id, node);
            forms.extend(choices.into_iter().filter_map(|absorbed| form(self.loaded, self.prices, id, node, absorbed)));
        }
        let (mut alone, fused): (Vec<Form>, Vec<Form>) = forms.into_iter().partition(|form| form.members == 1);
        alone.extend(self.best(fused, FORMS, |form| form.work));
        (self.forms.get(&id) != Some(&alone)).then_some(alone)
    }

    /// The forms whose work costs least with all they need, at most `count` of them and one for every set of classes read.
    fn best(&self, forms: Vec<Form>, count: usize, work: fn(&Form) -> Work) -> Vec<Form> {
        let rank = |form: Form| {
            let reads: BTreeSet<usize> = children(self.loaded, &self.numbers, &form).into_iter().collect();
            let needs = self.unfused.total(reads.iter().copied()).unwrap_or(u64::MAX);
            (self.prices.kernel(&work(&form)).saturating_add(needs), form.members, reads, form)
        };
        let mut ranked: Vec<_> = forms.into_iter().map(rank).collect();
        ranked.sort_by(|(cost, members, ..), (other, more, ..)| (cost, members).cmp(&(other, more)));
        let mut known = BTreeSet::new();
        ranked.into_iter().filter(|(_, _, reads, _)| known.insert(reads.clone())).map(|(.., form)| form).take(count).collect()
    }

    /// All ways to absorb operands of a node.
    fn choices(&self, id: Id, node: &ENode) -> Vec<Vec<Option<Form>>> {
        let mut choices = vec![Vec::new()];
        for operand in node.operands() {
            let mut options = vec![None];
            options.extend(self.absorbable(id, node, self.loaded.egraph.find(*operand)).into_iter().map(Some));
            let extended =
                |choice: &Vec<Option<Form>>, option: &Option<Form>| choice.iter().chain([option]).cloned().collect::<Vec<_>>();
            choices = choices.iter().flat_map(|choice| options.iter().map(|option| extended(choice, option))).collect();
            if choices.len() > CHOICES {
                return Vec::new();
            }
        }
        choices
    }

    /// The forms of an operand that the kernel of `node` can compute itself.
    fn absorbable(&self, id: Id, node: &ENode, operand: Id) -> Vec<Form> {
        let size = |id: Id| self.loaded.egraph[id].data.tensor().map(|known| known.ty.clone());
        let (Some(result), Some(ty), Some(class)) = (size(id), size(operand), class(node)) else { return Vec::new() };
        let fits = match class {
            Class::Elementwise => ty.dims == result.dims,
            Class::Reduce => true,
            Class::Movement => ty.element_count() == result.element_count(),
            Class::Leaf
            | Class::Contraction
            | Class::Window
            | Class::Concatenation
            | Class::Update
            | Class::Decode
            | Class::Reinterpretation
            | Class::Other => false,
        };
        if !fits || operand == id {
            return Vec::new();
        }
        let takes = |form: &&Form| !form.reads().contains(&id) && can_absorb(class, form);
        self.best(self.forms.get(&operand).into_iter().flatten().filter(takes).cloned().collect(), ABSORBABLE, |form| {
            form.work.absorbed()
        })
    }
}

fn class(node: &ENode) -> Option<Class> {
    node.op().map(|op| op.def().class)
}

/// Whether a kernel for this node has loops of its own.
fn is_anchor(node: &ENode) -> bool {
    !matches!(class(node), Some(Class::Elementwise | Class::Movement))
}

/// Whether the kernel of a node of this class can compute an operand in this form: an epilogue may follow anything, what
/// comes before a reduction or a movement must be elementwise.
fn can_absorb(class: Class, form: &Form) -> bool {
    match self::class(&form.node) {
        Some(Class::Elementwise) => class == Class::Elementwise || !form.anchored,
        Some(Class::Contraction | Class::Reduce | Class::Window) => class == Class::Elementwise,
        Some(
            Class::Leaf
            | Class::Movement
            | Class::Concatenation
            | Class::Update
            | Class::Decode
            | Class::Reinterpretation
            | Class::Other,
        )
        | None => false,
    }
}

#[cfg(test)]
mod tests;
