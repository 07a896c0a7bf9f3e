//! What is compiled: graphs under names.

pub use crate::entry::EntryGraph;
use crate::error::ImportError;
use crate::language::{Conversion, LanguageGraphs};
use lostwax_format::LanguageModel;
use lostwax_ir::graph::Graph;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the only entry point of a model that has one.
const MAIN: &str = "main";

/// A model: functions that share weights, and states by their names. The first one is the default.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The name of the model, for reports.
    pub name: String,
    /// The functions, at least one, with names of their own.
    pub entries: Vec<EntryGraph>,
    /// What a language model needs beside its graphs.
    pub language: Option<Language>,
}

/// How a model reads and writes text.
#[derive(Clone, Debug)]
pub struct Language {
    /// What is known of the model.
    pub description: LanguageModel,
    /// Its `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The matrices that were converted to another type.
    pub conversions: Vec<Conversion>,
}

impl Program {
    /// The graph of a model that has one entry point.
    ///
    /// # Errors
    /// [`ImportError::EntryPoints`] if it has several or none.
    pub fn into_single(self) -> Result<Graph, ImportError> {
        let names = self.entries.iter().map(|entry| entry.name.clone()).collect();
        let mut graphs = self.entries.into_iter().map(|entry| entry.graph);
        match (graphs.next(), graphs.next()) {
            (Some(graph), None) => Ok(graph),
            (Some(_) | None, _) => Err(ImportError::EntryPoints { names }),
        }
    }

    /// A language model under a name.
    pub fn from_language(name: &str, graphs: LanguageGraphs) -> Self {
        let LanguageGraphs { entries, description, tokenizer, conversions } = graphs;
        let entries = entries.into_iter().map(|(name, graph)| EntryGraph { name, graph }).collect();
        Self { name: name.to_string(), entries, language: Some(Language { description, tokenizer, conversions }) }
    }

    /// The bytes of all constants, those that graphs share once.
    pub fn constant_bytes(&self) -> usize {
        let values = |entry: &EntryGraph| {
            entry.graph.topological().into_iter().filter_map(|value| entry.graph.as_constant(value)).cloned().collect::<Vec<_>>()
        };
        let constants: BTreeMap<usize, usize> =
            self.entries.iter().flat_map(values).map(|tensor| (Arc::as_ptr(&tensor).addr(), tensor.bytes().len())).collect();
        constants.values().sum()
    }

    /// The nodes of all graphs.
    pub fn node_count(&self) -> usize {
        self.entries.iter().map(|entry| entry.graph.len()).sum()
    }
}

/// A model with one entry point, which is named `main`.
impl From<Graph> for Program {
    fn from(graph: Graph) -> Self {
        Self { name: graph.name.clone(), entries: vec![EntryGraph { name: MAIN.to_string(), graph }], language: None }
    }
}
