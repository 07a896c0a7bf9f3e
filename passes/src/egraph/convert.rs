//! Brings graphs into the e-graph and the chosen nodes out of it.

use super::analysis::{Data, Facts, Known, Leaf, TensorGraph, node_parts};
use super::extract::{Candidate, Choice, Problem, extract};
use super::kernels::{self, FusedNode};
use super::language::{ENode, Head, has_attrs};
use super::prices::Prices;
use egg::{EGraph, Id};
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::Op;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A graph in an e-graph.
pub struct Loaded<'a> {
    /// The source graph.
    pub graph: &'a Graph,
    /// The e-graph.
    pub egraph: TensorGraph,
    /// The class of every node.
    pub classes: HashMap<Value, Id>,
    /// The node that each [`Head::Leaf`] stands for.
    leaves: Vec<Value>,
    /// The names that origins refer to.
    names: Vec<String>,
}

/// Sweeps over all choices after extraction.
const SWEEPS: usize = 4;

impl<'a> Loaded<'a> {
    /// Brings a graph into a fresh e-graph.
    pub fn new(graph: &'a Graph) -> Self {
        let mut facts = Facts::default();
        graph.constraints().for_each(|constraint| facts.sizes.equate(&constraint.left, &constraint.right));
        let mut loaded =
            Self { graph, egraph: EGraph::new(facts), classes: HashMap::new(), leaves: Vec::new(), names: Vec::new() };
        let mut numbers = BTreeMap::new();
        for value in graph.topological() {
            let node = loaded.node(value);
            let id = loaded.egraph.add(node);
            let origin = loaded.origin(value, &mut numbers);
            if let Data::Tensor(known) = &mut loaded.egraph[id].data {
                known.origin = Arc::new(known.origin.union(&origin).copied().collect());
            }
            loaded.classes.insert(value, id);
        }
        loaded.egraph.rebuild();
        loaded
    }

    fn node(&mut self, value: Value) -> ENode {
        let source = self.graph.node(value);
        if source.op.is_input() || source.op == Op::Constant {
            let constant = self.graph.as_constant(value);
            self.egraph.analysis.leaves.push(constant.map_or_else(|| Leaf::input(&source.ty), |tensor| Leaf::constant(tensor)));
            self.leaves.push(value);
            return ENode::leaf(Head::Leaf(self.leaves.len() as u32 - 1));
        }
        let mut children = Vec::new();
        if has_attrs(source.op) {
            children.push(self.egraph.add(ENode::leaf(Head::Attrs(Arc::new(source.attrs.clone())))));
        }
        children.extend(self.graph.operands(value).iter().map(|operand| self.classes[operand]));
        ENode { head: Head::Op(source.op), children }
    }

    fn origin(&mut self, value: Value, numbers: &mut BTreeMap<String, u32>) -> BTreeSet<u32> {
        let mut number = |name: &String| {
            *numbers.entry(name.clone()).or_insert_with(|| {
                self.names.push(name.clone());
                self.names.len() as u32 - 1
            })
        };
        self.graph.node(value).origin.iter().map(&mut number).collect()
    }

    /// The class of a node of the source graph.
    pub fn class(&self, value: Value) -> Option<Id> {
        self.classes.get(&value).map(|id| self.egraph.find(*id))
    }

    fn known(&self, id: Id) -> Option<&Known> {
        self.egraph[id].data.tensor()
    }

    fn is_constant(&self, id: Id) -> bool {
        self.known(id).is_some_and(|known| known.constant)
    }

    /// The cheapest kernels under these prices; `None` if an output cannot be built.
    pub fn select(&self, prices: Prices<'_>) -> Option<Selection> {
        let alternatives = kernels::alternatives(self, prices, &self.dynamic());
        self.choose(prices, alternatives, |fused| fused.cost(prices))
    }

    /// The nodes, each a kernel of its own, for which the sum of what `cost` gives is least.
    pub fn select_by(&self, prices: Prices<'_>, cost: impl Fn(&ENode) -> u64) -> Option<Selection> {
        let nodes = |id: &Id| self.nodes(*id).cloned().map(FusedNode::alone).collect();
        let alternatives = self.dynamic().into_iter().map(|id| (id, nodes(&id))).collect();
        self.choose(prices, alternatives, |fused| cost(&fused.node))
    }

    /// The nodes of a class that do not need the class itself.
    pub fn nodes(&self, id: Id) -> impl Iterator<Item = &ENode> {
        self.egraph[id].nodes.iter().filter(move |node| !node.operands().contains(&id))
    }

    /// The classes that are computed at run time.
    fn dynamic(&self) -> Vec<Id> {
        self.egraph.classes().map(|class| class.id).filter(|id| self.is_dynamic(*id)).collect()
    }

    /// The choice among the alternatives whose sum of `cost` is least.
    fn choose(
        &self,
        prices: Prices<'_>,
        alternatives: BTreeMap<Id, Vec<FusedNode>>,
        cost: impl Fn(&FusedNode) -> u64,
    ) -> Option<Selection> {
        let mut selection = Selection { chosen: self.constants(prices), cost: 0, kernels: 0 };
        let numbers: HashMap<Id, usize> = alternatives.keys().enumerate().map(|(number, id)| (*id, number)).collect();
        let mut problem = Problem::default();
        let mut sources: Vec<(Id, Vec<FusedNode>)> = Vec::new();
        for (id, alternatives) in alternatives {
            let candidate = |fused: FusedNode| Some((self.candidate(&fused, &numbers, &selection, &cost)?, fused));
            let (candidates, alternatives) = alternatives.into_iter().filter_map(candidate).unzip();
            problem.classes.push(candidates);
            sources.push((id, alternatives));
        }
        let outputs = self.graph.outputs().iter().filter_map(|output| self.class(output.value));
        problem.roots = outputs.filter_map(|id| numbers.get(&id).copied()).collect();
        problem.roots.dedup();
        let choice: Choice = extract(&problem, SWEEPS)?;
        let needed: BTreeSet<usize> = problem.order(&choice)?.into_iter().collect();
        selection.cost = problem.total(&choice)?;
        for (number, (id, alternatives)) in sources.into_iter().enumerate() {
            if let Some(fused) = choice[number].and_then(|position| alternatives.into_iter().nth(position)) {
                selection.kernels += usize::from(fused.is_kernel() && needed.contains(&number));
                selection.chosen.insert(id, fused);
            }
        }
        Some(selection)
    }

    fn is_dynamic(&self, id: Id) -> bool {
        self.known(id).is_some_and(|known| !known.constant)
    }

    fn candidate(
        &self,
        fused: &FusedNode,
        numbers: &HashMap<Id, usize>,
        selection: &Selection,
        cost: &impl Fn(&FusedNode) -> u64,
    ) -> Option<Candidate> {
        let reads = fused.reads().into_iter().map(|operand| self.egraph.find(operand));
        let (constants, dynamic): (Vec<Id>, Vec<Id>) = reads.partition(|operand| self.is_constant(*operand));
        if constants.iter().any(|operand| !selection.chosen.contains_key(operand)) {
            return None;
        }
        let children = dynamic.iter().map(|operand| numbers.get(operand).copied()).collect::<Option<_>>()?;
        Some(Candidate { cost: cost(fused), children })
    }

    /// The node of every constant class that takes the least data and work to make.
    fn constants(&self, prices: Prices<'_>) -> HashMap<Id, FusedNode> {
        let mut best: HashMap<Id, (f64, &ENode)> = HashMap::new();
        let constants: Vec<Id> = self.egraph.classes().map(|class| class.id).filter(|id| self.is_constant(*id)).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for id in &constants {
                for node in &self.egraph[*id].nodes {
                    let Some(cost) = self.constant_cost(node, *id, &best, prices) else { continue };
                    if best.get(id).is_none_or(|(known, _)| cost < *known) {
                        best.insert(*id, (cost, node));
                        changed = true;
                    }
                }
            }
        }
        best.into_iter().map(|(id, (_, node))| (id, FusedNode::alone(node.clone()))).collect()
    }

    fn constant_cost(&self, node: &ENode, id: Id, best: &HashMap<Id, (f64, &ENode)>, prices: Prices<'_>) -> Option<f64> {
        let own = prices.constant(&self.known(id)?.ty);
        node.operands().iter().try_fold(own, |sum, operand| Some(sum + best.get(&self.egraph.find(*operand))?.0))
    }

    /// The selected nodes as a graph with the inputs, outputs and constraints of the source.
    ///
    /// # Errors
    /// [`TypeError`] if a selected node is invalid.
    pub fn build(&self, selection: &Selection) -> Result<Graph, TypeError> {
        let mut builder = Builder { loaded: self, selection, graph: Graph::new(self.graph.name.clone()), values: HashMap::new() };
        builder.inputs()?;
        for output in self.graph.outputs() {
            if let Some(id) = self.class(output.value) {
                let value = builder.value(id)?;
                builder.graph.output(&output.name, value);
            }
        }
        for constraint in self.graph.constraints() {
            builder.graph.require_equal(&constraint.left, &constraint.right, &constraint.reason)?;
        }
        builder.graph.set_origin([]);
        Ok(builder.graph)
    }
}

/// The chosen kernel of every class that can be built.
pub struct Selection {
    chosen: HashMap<Id, FusedNode>,
    /// The sum of the costs of all kernels that the outputs need, in picoseconds.
    pub cost: u64,
    /// The number of kernels that the outputs need.
    pub kernels: usize,
}

impl Selection {
    /// The chosen node of a class.
    pub fn node(&self, id: Id) -> Option<&ENode> {
        self.chosen.get(&id).map(|fused| &fused.node)
    }
}

struct Builder<'a> {
    loaded: &'a Loaded<'a>,
    selection: &'a Selection,
    graph: Graph,
    values: HashMap<Id, Value>,
}

fn missing(what: impl std::fmt::Debug) -> TypeError {
    TypeError::Invalid { op: "extraction", problem: format!("class {what:?} was not selected") }
}

impl Builder<'_> {
    fn inputs(&mut self) -> Result<(), TypeError> {
        for input in self.loaded.graph.inputs() {
            let source = self.loaded.graph.node(*input);
            self.graph.set_origin(source.origin.clone());
            let value = self.graph.add(source.op, source.attrs.clone(), &[])?;
            if let Some(id) = self.loaded.class(*input) {
                self.values.insert(id, value);
            }
        }
        Ok(())
    }

    /// The value of a class, built with all it needs.
    fn value(&mut self, id: Id) -> Result<Value, TypeError> {
        let mut stack = vec![id];
        while let Some(id) = stack.last().copied() {
            if self.values.contains_key(&id) {
                stack.pop();
                continue;
            }
            let fused = self.selection.chosen.get(&id).ok_or_else(|| missing(id))?;
            let reads = fused.reads().into_iter().map(|operand| self.loaded.egraph.find(operand));
            let before = stack.len();
            stack.extend(reads.rev().filter(|operand| !self.values.contains_key(operand)));
            if stack.len() == before {
                let value = self.fused(id, fused)?;
                self.values.insert(id, value);
            } else if stack.len() > self.loaded.egraph.total_number_of_nodes() * 4 + 64 {
                return Err(missing(id));
            }
        }
        self.values.get(&id).copied().ok_or_else(|| missing(id))
    }

    /// A node with the nodes that it absorbed; what it reads has been built.
    fn fused(&mut self, id: Id, fused: &FusedNode) -> Result<Value, TypeError> {
        let mut operands = Vec::new();
        for (operand, absorbed) in fused.node.operands().iter().zip(&fused.absorbed) {
            let operand = self.loaded.egraph.find(*operand);
            operands.push(match absorbed {
                Some(fused) => self.fused(operand, fused)?,
                None => *self.values.get(&operand).ok_or_else(|| missing(operand))?,
            });
        }
        self.node(id, &fused.node, &operands)
    }

    fn node(&mut self, id: Id, node: &ENode, operands: &[Value]) -> Result<Value, TypeError> {
        let known = self.loaded.known(id).ok_or_else(|| missing(id))?;
        let names = &self.loaded.names;
        self.graph.set_origin(known.origin.iter().filter_map(|number| names.get(*number as usize).cloned()));
        match &node.head {
            Head::Leaf(number) => {
                let source = self.loaded.leaves.get(*number as usize).and_then(|value| self.loaded.graph.as_constant(*value));
                self.graph.constant(source.ok_or_else(|| missing(id))?.clone())
            }
            Head::Op(op) => {
                let (attrs, _) = node_parts(&self.loaded.egraph, *op, &node.children).ok_or_else(|| missing(id))?;
                self.graph.add(*op, attrs.as_ref().clone(), operands)
            }
            Head::Attrs(_) => Err(missing(id)),
        }
    }
}
