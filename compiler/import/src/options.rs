use crate::shape_spec::DimSpec;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use std::sync::Arc;

/// How a model is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Shapes given for inputs by name; see [`crate::ShapeSpec`]. Inputs that are not named keep the dims of the file.
    pub shapes: Vec<(String, Vec<DimSpec>)>,
    /// Inputs by name that are to become constants, converted to the declared type. What a model computes from them may then
    /// decide shapes. A single number fits a declared shape of one element.
    pub constants: Vec<(String, Arc<Tensor>)>,
    /// The largest number of bytes that constants may grow to beyond what the file stores, as a file of a few bytes can
    /// ask for constants of any size.
    pub max_expanded_bytes: u64,
    /// How language models become graphs.
    pub language: LanguageOptions,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { shapes: Vec::new(), constants: Vec::new(), max_expanded_bytes: 4 << 30, language: LanguageOptions::default() }
    }
}

/// How a language model becomes graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanguageOptions {
    /// The context length in tokens, at most what the model was trained for.
    pub context: usize,
    /// The element type of caches of keys and values: f32, f16, or i8, bytes with a scale for each token and head.
    pub cache: DType,
    /// Whether sliding-window layers cache all tokens, so that generation can resume from any earlier position; otherwise they
    /// cache only the last ones.
    pub full_windows: bool,
    /// The number of texts that caches hold, which are decoded together.
    pub slots: usize,
    /// The type of activations that are multiplied by block-quantized weights: i8, quantized in groups, or f32.
    pub activations: DType,
    /// The type that matrices are converted to; as they are stored if absent. See [`crate::families::quant_from_name`].
    pub quant: Option<DType>,
}

/// The element types that caches may have.
pub const CACHE_TYPES: [DType; 3] = [DType::F32, DType::F16, DType::I8];

/// The element types that activations may have where they meet matrices of block formats.
pub const ACTIVATION_TYPES: [DType; 2] = [DType::I8, DType::F32];

/// The maximum number of texts that are decoded together.
pub const MAX_SLOTS: usize = 16;

/// Tokens that a model attends to if nobody says otherwise.
const DEFAULT_CONTEXT: usize = 4096;

impl Default for LanguageOptions {
    fn default() -> Self {
        Self { context: DEFAULT_CONTEXT, cache: DType::F32, full_windows: false, slots: 1, activations: DType::I8, quant: None }
    }
}
