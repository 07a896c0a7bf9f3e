use super::shape_spec::DimSpec;
use crate::models;
use lostwax_ir::tensor::Tensor;
use std::sync::Arc;

/// How a model is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Shapes given for inputs by name; see [`super::ShapeSpec`]. Inputs that are not named keep the dims of the file.
    pub shapes: Vec<(String, Vec<DimSpec>)>,
    /// Inputs by name that are to become constants, converted to the declared type. What a model computes from them may then
    /// decide shapes. A single number fits a declared shape of one element.
    pub constants: Vec<(String, Arc<Tensor>)>,
    /// The largest number of bytes that constants may grow to beyond what the file stores, as a file of a few bytes can
    /// ask for constants of any size.
    pub max_expanded_bytes: u64,
    /// How language models become graphs.
    pub language: models::Options,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { shapes: Vec::new(), constants: Vec::new(), max_expanded_bytes: 4 << 30, language: models::Options::default() }
    }
}
