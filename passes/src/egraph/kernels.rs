//! Kernels as candidates: a node with the nodes that its kernel computes too, instead of reading them from memory.
//!
//! One rule of absorption covers activations, biases, residuals, scales and chains of them in every layout: an elementwise
//! node computes an operand of its own size itself, whatever it computes, contractions included; a reduction or a movement
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

/// Alternatives of one class that the kernel of a user may absorb.
const ABSORBABLE: usize = 3;

/// Alternatives of one class that absorb something.
const FUSED: usize = 12;

/// Choices of operands that one node may absorb.
const CHOICES: usize = 64;

/// Rounds of absorption; each lets kernels grow by one node along every path.
const ROUNDS: usize = 8;

/// A node of a class and what its kernel computes besides.
#[derive(Clone, Debug, PartialEq)]
pub struct FusedNode {
    /// The node that gives the class its value.
    pub node: ENode,
    /// For each operand the node that is computed in the same kernel; `None` where the operand is read from memory.
    pub absorbed: Vec<Option<FusedNode>>,
    /// What the kernel does.
    work: Work,
    /// Nodes of the kernel.
    members: usize,
    /// Whether a reduction or a contraction is among them.
    has_own_loops: bool,
}

impl FusedNode {
    /// A node that reads all its operands from memory.
    pub fn alone(node: ENode) -> Self {
        Self { absorbed: vec![None; node.operands().len()], node, work: Work::default(), members: 1, has_own_loops: false }
    }

    /// The classes that are read from memory.
    pub fn reads(&self) -> Vec<Id> {
        let operands = self.node.operands().iter().zip(&self.absorbed);
        operands.flat_map(|(operand, fused)| fused.as_ref().map_or_else(|| vec![*operand], FusedNode::reads)).collect()
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

/// The kernels that can make each of these classes, in a fixed order.
pub fn alternatives(loaded: &Loaded<'_>, prices: Prices<'_>, classes: &[Id]) -> BTreeMap<Id, Vec<FusedNode>> {
    let numbers: BTreeMap<Id, usize> = classes.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let alone: BTreeMap<Id, Vec<FusedNode>> = classes.iter().map(|id| (*id, alone(loaded, prices, *id))).collect();
    let candidate = |fused: &FusedNode| Candidate { cost: fused.cost(prices), children: children(loaded, &numbers, fused) };
    let candidates = classes.iter().map(|id| alone[id].iter().map(candidate).collect()).collect();
    let problem = Problem { classes: candidates, roots: Vec::new() };
    let kernels = Kernels { loaded, prices, alternatives: alone, numbers, unfused: Sharing::new(&problem) };
    kernels.grow(classes)
}

fn alone(loaded: &Loaded<'_>, prices: Prices<'_>, id: Id) -> Vec<FusedNode> {
    loaded.nodes(id).filter_map(|node| fuse(loaded, prices, id, node, vec![None; node.operands().len()])).collect()
}

/// A node with some operands absorbed; `None` if the kernel would be too large or hold two reductions.
fn fuse(loaded: &Loaded<'_>, prices: Prices<'_>, id: Id, node: &ENode, absorbed: Vec<Option<FusedNode>>) -> Option<FusedNode> {
    let known = loaded.egraph[id].data.tensor()?;
    let inside = || absorbed.iter().flatten();
    let with_loops = inside().filter(|fused| fused.has_own_loops).count() + usize::from(needs_own_loops(node));
    let members = 1 + inside().map(|fused| fused.members).sum::<usize>();
    if with_loops > 1 || members > MEMBERS {
        return None;
    }
    let parts: Vec<Option<Work>> = absorbed.iter().map(|fused| fused.as_ref().map(|fused| fused.work)).collect();
    let work = prices.work(&loaded.egraph, node, &known.ty, &parts);
    Some(FusedNode { node: node.clone(), absorbed, work, members, has_own_loops: with_loops > 0 })
}

/// The numbers of the classes that a fused node reads and that are computed at run time.
fn children(loaded: &Loaded<'_>, numbers: &BTreeMap<Id, usize>, fused: &FusedNode) -> Vec<usize> {
    fused.reads().into_iter().filter_map(|id| numbers.get(&loaded.egraph.find(id)).copied()).collect()
}

/// The alternatives found so far.
struct Kernels<'a> {
    loaded: &'a Loaded<'a>,
    prices: Prices<'a>,
    alternatives: BTreeMap<Id, Vec<FusedNode>>,
    numbers: BTreeMap<Id, usize>,
    /// What classes cost when every node is a kernel of its own.
    unfused: Sharing<'a>,
}

impl Kernels<'_> {
    /// Lets kernels absorb what their operands have become, round by round.
    fn grow(mut self, classes: &[Id]) -> BTreeMap<Id, Vec<FusedNode>> {
        let mut pending: Vec<Id> = classes.to_vec();
        for _ in 0..ROUNDS {
            let grown: Vec<(Id, Vec<FusedNode>)> = pending.iter().filter_map(|id| Some((*id, self.grown(*id)?))).collect();
            let changed: BTreeSet<Id> = grown.iter().map(|(id, _)| *id).collect();
            self.alternatives.extend(grown);
            pending = classes.iter().copied().filter(|id| self.uses_any(*id, &changed)).collect();
        }
        self.alternatives
    }

    fn uses_any(&self, id: Id, changed: &BTreeSet<Id>) -> bool {
        let operands = |node: &ENode| node.operands().iter().any(|operand| changed.contains(&self.loaded.egraph.find(*operand)));
        self.loaded.nodes(id).any(operands)
    }

    /// The alternatives of a class with what its operands have become; `None` if they are as before.
    fn grown(&self, id: Id) -> Option<Vec<FusedNode>> {
        let mut alternatives: Vec<FusedNode> = Vec::new();
        for node in self.loaded.nodes(id) {
            let choices = self.choices(id, node);
            alternatives.extend(choices.into_iter().filter_map(|absorbed| fuse(self.loaded, self.prices, id, node, absorbed)));
        }
        let (mut alone, fused): (Vec<FusedNode>, Vec<FusedNode>) = alternatives.into_iter().partition(|fused| fused.members == 1);
        alone.extend(self.best(fused, FUSED, |fused| fused.work));
        (self.alternatives.get(&id) != Some(&alone)).then_some(alone)
    }

    /// The alternatives whose work costs least with all they need, at most `count` of them and one for every set of classes read.
    fn best(&self, alternatives: Vec<FusedNode>, count: usize, work: fn(&FusedNode) -> Work) -> Vec<FusedNode> {
        let rank = |fused: FusedNode| {
            let reads: BTreeSet<usize> = children(self.loaded, &self.numbers, &fused).into_iter().collect();
            let needs = self.unfused.total(reads.iter().copied()).unwrap_or(u64::MAX);
            (self.prices.kernel(&work(&fused)).saturating_add(needs), fused.members, reads, fused)
        };
        let mut ranked: Vec<_> = alternatives.into_iter().map(rank).collect();
        ranked.sort_by(|(cost, members, ..), (other, more, ..)| (cost, members).cmp(&(other, more)));
        let mut known = BTreeSet::new();
        ranked.into_iter().filter(|(_, _, reads, _)| known.insert(reads.clone())).map(|(.., fused)| fused).take(count).collect()
    }

    /// All choices of operands that a node absorbs.
    fn choices(&self, id: Id, node: &ENode) -> Vec<Vec<Option<FusedNode>>> {
        let mut choices = vec![Vec::new()];
        for operand in node.operands() {
            let mut options = vec![None];
            options.extend(self.absorbable(id, node, self.loaded.egraph.find(*operand)).into_iter().map(Some));
            let extended = |choice: &Vec<Option<FusedNode>>, option: &Option<FusedNode>| {
                choice.iter().chain([option]).cloned().collect::<Vec<_>>()
            };
            choices = choices.iter().flat_map(|choice| options.iter().map(|option| extended(choice, option))).collect();
            if choices.len() > CHOICES {
                return Vec::new();
            }
        }
        choices
    }

    /// The alternatives of an operand that the kernel of `node` can compute itself.
    fn absorbable(&self, id: Id, node: &ENode, operand: Id) -> Vec<FusedNode> {
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
        let takes = |fused: &&FusedNode| !fused.reads().contains(&id) && can_absorb(class, fused);
        self.best(self.alternatives.get(&operand).into_iter().flatten().filter(takes).cloned().collect(), ABSORBABLE, |fused| {
            fused.work.absorbed()
        })
    }
}

fn class(node: &ENode) -> Option<Class> {
    node.op().map(|op| op.def().class)
}

/// Whether a kernel for this node has loops of its own.
fn needs_own_loops(node: &ENode) -> bool {
    !matches!(class(node), Some(Class::Elementwise | Class::Movement))
}

/// Whether the kernel of a node of this class can compute this operand: an epilogue may follow anything, what
/// comes before a reduction or a movement must be elementwise.
fn can_absorb(class: Class, fused: &FusedNode) -> bool {
    match self::class(&fused.node) {
        Some(Class::Elementwise) => class == Class::Elementwise || !fused.has_own_loops,
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
