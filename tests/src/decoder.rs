//! Language models in the reference interpreter: an entry point is run as a session runs it, with states kept from run to run.

use lostwax::import::families::LanguageGraphs;
use lostwax_ir::dim::Bindings;
use lostwax_ir::eval::eval_graph_with;
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use std::collections::BTreeMap;

/// A decoder whose cache holds some tokens.
pub struct Interpreted<'a> {
    model: &'a LanguageGraphs,
    states: BTreeMap<String, Tensor>,
    position: usize,
}

impl<'a> Interpreted<'a> {
    /// A decoder with an empty cache.
    pub fn new(model: &'a LanguageGraphs) -> Self {
        Self { model, states: BTreeMap::new(), position: 0 }
    }

    fn graph(&self, entry: &str) -> &'a Graph {
        &self.model.entries.iter().find(|(name, _)| name == entry).expect("the model has that entry point").1
    }

    /// Appends tokens with an entry point and gives its logits.
    ///
    /// # Panics
    /// When there is no such entry point or it cannot be evaluated.
    pub fn run(&mut self, entry: &str, tokens: &[u32]) -> Vec<f32> {
        let graph = self.graph(entry);
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let mut inputs = self.states.clone();
        for value in graph.inputs().iter().filter(|value| graph.op(**value) == Op::State) {
            let ty = graph.ty(*value);
            let zeros =
                || Tensor::zeros(ty.dtype, &ty.static_shape().expect("states have fixed sizes")).expect("they fit memory");
            inputs.entry(graph.input_name(*value).to_string()).or_insert_with(zeros);
        }
        inputs.insert("tokens".into(), Tensor::from_slice(DType::I32, &[ids.len()], &ids).expect("tokens fit memory"));
        let past = Bindings::from([("past".to_string(), self.position as i64)]);
        let mut outputs = eval_graph_with(graph, &inputs, &past).expect("the graph has a value");
        let logits = outputs.remove("logits").expect("there are logits");
        (self.states, self.position) = (outputs, self.position + tokens.len());
        logits.as_slice::<f32>().to_vec()
    }
}

/// The embedding of tokens.
///
/// # Panics
/// When the model is not an encoder or cannot be evaluated.
pub fn embed(model: &LanguageGraphs, tokens: &[u32]) -> Vec<f32> {
    let (_, graph) = model.entries.iter().find(|(name, _)| name == "embed").expect("the model is an encoder");
    let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    let tokens = Tensor::from_slice(DType::I32, &[ids.len()], &ids).expect("tokens fit memory");
    let outputs = eval_graph_with(graph, &BTreeMap::from([("tokens".into(), tokens)]), &Bindings::new());
    outputs.expect("the graph has a value")["embedding"].as_slice::<f32>().to_vec()
}
