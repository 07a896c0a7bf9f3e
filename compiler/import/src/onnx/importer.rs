//! The import of one model: scopes of names, inputs, nodes in order, outputs.

use super::equalities::Equalities;
use super::node::Node;
use super::node_error::{NodeError, NodeResult, invalid, limit};
use super::operand::Operand;
use super::operator::{Operators, canonical_domain};
use super::order::sort_nodes;
use super::symbols::{FileDim, Symbols, file_dims};
use super::tally::{Failure, Tally};
use super::tensors;
use crate::{DimSpec, ImportError, ImportOptions};
use lostwax_ir::graph::Graph;
use lostwax_ir::suggest::unknown;
use lostwax_ir::types::TensorType;
use onnx_protobuf::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// The opsets that are supported.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=26;
const MAX_NESTING: usize = 16;

/// The import of one model: the graph so far, and what the names of the model stand for.
///
/// Functions of operators build with its methods, which take and give [`Operand`]s: they broadcast as ONNX does, follow
/// arithmetic on shapes, and evaluate what is constant and small.
pub struct Importer<'a> {
    pub(super) graph: Graph,
    /// The node that is being imported, for messages.
    pub(super) label: String,
    /// Bytes that constants which the file does not store may still take.
    pub(super) budget: u64,
    pub(super) tally: Tally,
    pub(super) equalities: Equalities,
    pub(super) folder: Option<&'a Path>,
    operators: &'a Operators,
    options: &'a ImportOptions,
    opsets: BTreeMap<String, i64>,
    scopes: Vec<HashMap<String, Operand>>,
}

fn model_error(part: &str, name: &str, problem: NodeError) -> ImportError {
    Failure { node: name.to_string(), op: part.to_string(), problem }.into()
}

impl<'a> Importer<'a> {
    /// Imports all nodes. What is wrong with single nodes is noted; see [`Importer::finish`].
    pub(super) fn import(
        mut model: ModelProto,
        folder: Option<&'a Path>,
        operators: &'a Operators,
        options: &'a ImportOptions,
    ) -> Result<Self, ImportError> {
        let opsets = model.opset_import.iter().map(|set| (canonical_domain(&set.domain).to_string(), set.version)).collect();
        let Some(mut graph) = model.graph.take() else {
            return Err(model_error("file", "model", NodeError::Invalid("there is no graph".to_string())));
        };
        let mut importer = Self {
            graph: Graph::new(graph.name.clone()),
            label: String::new(),
            budget: options.max_expanded_bytes,
            tally: Tally::default(),
            equalities: Equalities::default(),
            folder,
            operators,
            options,
            opsets,
            scopes: vec![HashMap::new()],
        };
        importer.check_opset()?;
        importer.add_initializers(&mut graph);
        importer.add_given_constants(&graph)?;
        importer.add_inputs(&graph)?;
        importer.add_nodes(&graph).map_err(|problem| model_error("graph", &graph.name, problem))?;
        importer.add_outputs(&graph)?;
        Ok(importer)
    }

    /// The graph, if there was no problem.
    pub(super) fn finish(mut self) -> Result<Graph, ImportError> {
        if self.tally.has_unsupported() {
            return Err(ImportError::UnsupportedOperators(Box::new(self.report())));
        }
        if let Some(failure) = self.tally.first_failure() {
            return Err(failure.clone().into());
        }
        self.graph.remove_dead();
        Ok(self.graph)
    }

    fn check_opset(&self) -> Result<(), ImportError> {
        let version = self.opset("");
        if OPSETS.contains(&version) {
            return Ok(());
        }
        let problem =
            format!("opset {version} is not supported; convert the model to one from {} to {}", OPSETS.start(), OPSETS.end());
        Err(model_error("file", "model", NodeError::Invalid(problem)))
    }

    fn opset(&self, domain: &str) -> i64 {
        self.opsets.get(domain).copied().unwrap_or(1)
    }

    fn define(&mut self, name: &str, item: Operand) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), item);
        }
    }

    fn find(&self, name: &str) -> Operand {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.cloned().unwrap_or_else(|| Operand::absent(format!("operand `{name}` is not defined anywhere")))
    }

    fn is_defined(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains_key(name))
    }

    fn add_initializers(&mut self, graph: &mut GraphProto) {
        for proto in std::mem::take(&mut graph.initializer) {
            let item = match tensors::item(&proto, self.folder) {
                Ok(item) => item,
                Err(problem) => Operand::absent(format!("constant `{}`: {problem}", proto.name)),
            };
            self.define(&proto.name, item);
        }
        for proto in &graph.sparse_initializer {
            let name = proto.values.name.clone();
            self.define(&name, Operand::absent(format!("constant `{name}` is sparse, which is not supported")));
        }
    }

    fn add_given_constants(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        for (name, tensor) in &self.options.constants {
            let Some(input) = graph.input.iter().find(|input| input.name == *name) else {
                return Err(model_error("input", name, NodeError::Invalid("there is no such input".to_string())));
            };
            let item = self.given_constant(input, tensor.clone().into());
            self.define(name, item.map_err(|problem| model_error("input", name, problem))?);
        }
        Ok(())
    }

    /// A given constant in the type that the model declares; its shape where both have one element.
    fn given_constant(&mut self, input: &ValueInfoProto, given: Operand) -> NodeResult<Operand> {
        let Some((dtype, dims)) = file_dims(input) else { return Ok(given) };
        let item = self.cast(&given, tensors::dtype(dtype)?)?;
        match dims {
            Some(dims) if self.ty(&item).element_count().is(1) => self.reshape(&item, &vec![1.into(); dims.len()]),
            _ => Ok(item),
        }
    }

    fn given_shape(&self, name: &str) -> Option<&'a [DimSpec]> {
        self.options.shapes.iter().find(|(input, _)| input == name).map(|(_, dims)| dims.as_slice())
    }

    fn add_inputs(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|input| !self.is_defined(&input.name)).collect();
        if let Some((name, _)) = self.options.shapes.iter().find(|(name, _)| inputs.iter().all(|input| input.name != *name)) {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(model_error("input", name, NodeError::Invalid(unknown("input", name, names))));
        }
        let mut symbols = Symbols::default();
        let mut types = Vec::new();
        for input in inputs {
            let error = |problem| model_error("input", &input.name, problem);
            types.push((input, self.input_type(input).map_err(error)?));
        }
        for (input, (_, dims)) in &types {
            if let Some(given) = self.given_shape(&input.name) {
                symbols.declare(&input.name, dims, given).map_err(|problem| model_error("input", &input.name, problem))?;
            }
        }
        for (input, (dtype, dims)) in types {
            let item = self.add_input(&input.name, dtype, &dims, &mut symbols);
            let item = item.map_err(|problem| model_error("input", &input.name, problem))?;
            self.define(&input.name, item);
        }
        Ok(())
    }

    fn input_type(&self, input: &ValueInfoProto) -> NodeResult<(i64, Vec<FileDim>)> {
        match file_dims(input) {
            Some((dtype, Some(dims))) => Ok((dtype, dims)),
            Some((dtype, None)) => match self.given_shape(&input.name) {
                Some(given) => Ok((dtype, vec![FileDim::Unknown; given.len()])),
                None => Err(NodeError::Invalid(format!("its shape is not known; give one with --shape {}:...", input.name))),
            },
            None => Err(NodeError::Unsupported("only tensors can be inputs".to_string())),
        }
    }

    fn add_input(&mut self, name: &str, dtype: i64, dims: &[FileDim], symbols: &mut Symbols) -> NodeResult<Operand> {
        let dtype = tensors::dtype(dtype)?;
        if self.is_defined(name) {
            return Err(NodeError::Invalid("there are two inputs of this name".to_string()));
        }
        let dims = symbols.dims(name, dims, self.given_shape(name))?;
        Ok(self.graph.input(name, &TensorType { dtype, dims })?.into())
    }

    fn add_nodes(&mut self, graph: &GraphProto) -> NodeResult<()> {
        let order = sort_nodes(&graph.node);
        let order = order.map_err(|name| NodeError::Invalid(format!("`{name}` depends on itself")))?;
        for position in order {
            if let Some(node) = graph.node.get(position) {
                self.add_node(node, position)?;
            }
        }
        Ok(())
    }

    fn add_node(&mut self, proto: &NodeProto, position: usize) -> NodeResult<()> {
        let label = if proto.name.is_empty() { format!("{}_{position}", proto.op_type) } else { proto.name.clone() };
        let domain = canonical_domain(&proto.domain);
        let operator = self.operators.get(domain, &proto.op_type);
        self.tally.count(domain, &proto.op_type, &label, operator.is_some());
        self.graph.set_origin([label.clone()]);
        self.label.clone_from(&label);
        let mut blocked = None;
        let result = match operator {
            None => Err(NodeError::Unsupported(self.operators.unknown(domain, &proto.op_type))),
            Some(operator) => {
                let node = self.node_of(proto, domain);
                blocked = node.inputs.iter().flatten().find(|item| self.is_blocked(item)).cloned();
                if blocked.is_some() { Ok(Vec::new()) } else { (operator.import)(self, &node) }
            }
        };
        let items = result.unwrap_or_else(|problem| {
            self.tally.fail(domain, Failure { node: label.clone(), op: proto.op_type.clone(), problem });
            blocked = Some(self.blocked_item());
            Vec::new()
        });
        self.define_results(proto, items, blocked)
    }

    fn define_results(&mut self, proto: &NodeProto, items: Vec<Operand>, blocked: Option<Operand>) -> NodeResult<()> {
        let mut items = items.into_iter();
        for (position, name) in proto.output.iter().enumerate() {
            let missing = || Operand::absent(format!("result {position} of {} is not supported", proto.op_type));
            let item = items.next().or_else(|| blocked.clone()).unwrap_or_else(missing);
            if name.is_empty() {
                continue;
            }
            if self.scopes.last().is_some_and(|scope| scope.contains_key(name)) {
                return Err(NodeError::Invalid(format!("`{name}` is defined twice")));
            }
            self.define(name, item);
        }
        Ok(())
    }

    /// An item that stands for a result of a node with a problem, which is reported there.
    fn blocked_item(&self) -> Operand {
        Operand::absent("")
    }

    /// Whether the item is a result of a node with a problem, which is reported there.
    pub(super) fn is_blocked(&self, item: &Operand) -> bool {
        matches!(item.data(), super::operand::Data::Absent(reason) if reason.is_empty())
    }

    fn node_of<'n>(&self, proto: &'n NodeProto, domain: &str) -> Node<'n> {
        let named = |name: &String| if name.is_empty() { None } else { Some(self.find(name)) };
        Node { proto, opset: self.opset(domain), inputs: proto.input.iter().map(named).collect() }
    }

    /// Imports the nodes of a subgraph for its operands; gives its results.
    pub(super) fn inline(&mut self, graph: &GraphProto, operands: &[Operand]) -> NodeResult<Vec<Operand>> {
        if self.scopes.len() > MAX_NESTING {
            return limit("graphs are nested too deeply");
        }
        if graph.input.len() != operands.len() {
            return invalid(format!("a subgraph with {} inputs for {} operands", graph.input.len(), operands.len()));
        }
        let mut graph = graph.clone();
        self.scopes.push(HashMap::new());
        self.add_initializers(&mut graph);
        for (input, operand) in graph.input.iter().zip(operands) {
            self.define(&input.name, operand.clone());
        }
        let result = self.add_nodes(&graph);
        let outputs = graph.output.iter().map(|output| self.find(&output.name)).collect();
        self.scopes.pop();
        result.map(|()| outputs)
    }

    fn add_outputs(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        let mut names = HashSet::new();
        for output in &graph.output {
            let item = self.find(&output.name);
            if self.is_blocked(&item) {
                continue;
            }
            if !names.insert(&output.name) {
                return Err(model_error(
                    "output",
                    &output.name,
                    NodeError::Invalid("there are two outputs of this name".to_string()),
                ));
            }
            match self.value(&item) {
                Ok(value) => self.graph.output(&output.name, value),
                Err(problem) => self.tally.fail("", Failure { node: output.name.clone(), op: "output".to_string(), problem }),
            }
        }
        Ok(())
    }
}
