//! Language models as graphs.
//!
//! GGUF files and Hugging Face folders hold weights and settings, no graphs. A family says in one file what its settings and
//! tensors are called and how its layers differ from those of others; `common` makes graphs of that.
//!
//! A family of one's own is a function and a value:
//!
//! ```
//! use lostwax_import::families::names::NORMS_BEFORE;
//! use lostwax_import::families::settings::{Settings, WINDOW};
//! use lostwax_import::families::{Architecture, Decoder, Family};
//! use lostwax_import::{ImportError, Registry};
//!
//! /// Llama with a window in every other layer.
//! fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
//!     let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE])?;
//!     decoder.set_windows(settings.find(WINDOW)?, |layer| layer % 2 == 0);
//!     Ok(decoder.into())
//! }
//!
//! let family = Family { name: "example", gguf: &["example"], folder: &["ExampleForCausalLM"], read };
//! let mut registry = Registry::default();
//! registry.families.add(family)?;
//! # Ok::<(), ImportError>(())
//! ```

mod bert;
mod check;
mod common;
mod family;
mod gemma2;
mod gemma3;
mod glm4;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen_moe;
mod stablelm;

#[cfg(test)]
mod tests;

pub use crate::language::{Conversion, LanguageGraphs};
pub(crate) use check::check;
pub use common::architecture::{Decoder, ExpertKind, LayerKind};
pub use common::attention::{HeadNorms, Heads};
pub use common::encoder::{Encoder, Pooling};
pub use common::norm::NormKind;
pub use common::quantize::quant_from_name;
pub use common::rope::Rope;
pub use common::rope_scaling::RopeReader;
pub use common::{names, settings};
pub use family::{Architecture, Families, Family};

use crate::error::ImportError;
use crate::options::{ACTIVATION_TYPES, CACHE_TYPES, LanguageOptions, MAX_SLOTS};
use common::decoder::{self, CacheKind};
use common::decoder_weights::DecoderWeights;
use common::encoder::{self, EncoderWeights};
use common::language;
use common::settings::Settings;
use common::weights::Store;
use lostwax_ir::graph::TypeError;
use lostwax_ir::types::DType;
use std::path::Path;

/// The families that lostwax ships.
const FAMILIES: &[Family] = &[
    llama::FAMILY,
    mistral::FAMILY,
    mixtral::FAMILY,
    qwen2::FAMILY,
    qwen3::FAMILY,
    qwen_moe::QWEN2,
    qwen_moe::QWEN3,
    gemma2::FAMILY,
    gemma3::FAMILY,
    phi3::FAMILY,
    stablelm::FAMILY,
    olmo2::FAMILY,
    glm4::FAMILY,
    bert::FAMILY,
];

/// Reads a language model: a GGUF file or a Hugging Face folder.
pub(crate) fn load(path: &Path, families: &Families, options: &LanguageOptions) -> Result<LanguageGraphs, ImportError> {
    let settings = Settings::open(path)?;
    let context = context(&settings, options)?;
    match (families.of(&settings)?.read)(&settings, context)? {
        Architecture::Decoder(decoder) => load_decoder(&settings, &decoder, context, options),
        Architecture::Encoder(encoder) => load_encoder(&settings, &encoder, context, options),
    }
}

/// The number of tokens that is compiled for; checks the options.
fn context(settings: &Settings, options: &LanguageOptions) -> Result<usize, ImportError> {
    if options.context == 0 {
        return Err(ImportError::invalid("option", "context", "it must be at least 1"));
    }
    if !(1..=MAX_SLOTS).contains(&options.slots) {
        return Err(ImportError::invalid("option", "slots", format!("it must be in 1..={MAX_SLOTS}")));
    }
    check_type("type of caches", options.cache, &CACHE_TYPES)?;
    check_type("type of activations", options.activations, &ACTIVATION_TYPES)?;
    Ok(options.context.min(settings.size(common::settings::CONTEXT)?))
}

fn check_type(kind: &'static str, dtype: DType, known: &[DType]) -> Result<(), ImportError> {
    let names = || known.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(" and ");
    let unknown = || ImportError::unsupported(kind, dtype.name(), format!("known are {}", names()));
    if known.contains(&dtype) { Ok(()) } else { Err(unknown()) }
}

/// The tokenizer is described before weights are read, so that they take the memory that reading it took; what is wrong with it
/// is told after what is wrong with them.
fn load_decoder(
    settings: &Settings,
    decoder: &Decoder,
    context: usize,
    options: &LanguageOptions,
) -> Result<LanguageGraphs, ImportError> {
    let mut store = Store::new(settings, &decoder.names, options.quant);
    let described = language::describe(settings, store.rows("token_embd")?, context);
    let weights = DecoderWeights::read(&mut store, decoder, context)?;
    let LanguageOptions { cache: dtype, full_windows, slots, .. } = *options;
    let cache = CacheKind { context, dtype, full_windows, slots };
    let decoder::Entries { graphs: entries, window } =
        decoder::entries(decoder, &weights, cache, options.activations).map_err(no_graph)?;
    let (mut description, tokenizer) = described?;
    description.window = window.and_then(|window| u32::try_from(window).ok());
    Ok(LanguageGraphs { entries, description, tokenizer, conversions: store.conversions })
}

/// In the order of [`load_decoder`].
fn load_encoder(
    settings: &Settings,
    encoder: &Encoder,
    context: usize,
    options: &LanguageOptions,
) -> Result<LanguageGraphs, ImportError> {
    let mut store = Store::new(settings, &encoder.names, options.quant);
    let (vocabulary, positions) = (store.rows("token_embd")?, store.rows("position_embd")?);
    let context = context.min(positions);
    let described = language::describe(settings, vocabulary, context);
    let weights = EncoderWeights::read(&mut store, encoder)?;
    let entries = encoder::entries(encoder, &weights, context, options.activations).map_err(no_graph)?;
    let (description, tokenizer) = described?;
    Ok(LanguageGraphs { entries, description, tokenizer, conversions: store.conversions })
}

fn no_graph(error: TypeError) -> ImportError {
    ImportError::invalid("model", "graph", error.to_string())
}
