//! Language models as graphs.

use lostwax_format::LanguageModel;
use lostwax_ir::graph::Graph;
use lostwax_ir::types::DType;

/// A language model as graphs.
pub struct LanguageGraphs {
    /// The entry points by name. Decoders have `prefill`, `decode` and `score`; encoders have `embed`. They share weights.
    pub entries: Vec<(String, Graph)>,
    /// What else is known of the model.
    pub description: LanguageModel,
    /// Its `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The matrices that [`crate::LanguageOptions::quant`] asked to convert.
    pub conversions: Vec<Conversion>,
}

/// What became of a matrix that was converted.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// The tensor.
    pub name: String,
    /// Its type in the model.
    pub from: DType,
    /// Its type in the graphs; that of the model where rows are not a whole number of blocks.
    pub to: DType,
    /// The norm of the difference, relative to that of the values.
    pub error: f64,
}
