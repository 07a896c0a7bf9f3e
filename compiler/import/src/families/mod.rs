//! Language models as graphs.
//!
//! GGUF files and Hugging Face folders hold weights and settings, no graphs. A family says in one file what its settings and
//! tensors are called and how its layers differ from those of others; `common` makes graphs of that.

mod bert;
mod common;
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

pub use common::quantize::{Conversion, quant_from_name};

use crate::error::ImportError;
use crate::options::{ACTIVATION_TYPES, CACHE_TYPES, LanguageOptions, MAX_SLOTS};
use common::architecture::Decoder;
use common::decoder::{self, CacheKind};
use common::decoder_weights::DecoderWeights;
use common::encoder::{self, Encoder, EncoderWeights};
use common::language;
use common::settings::Settings;
use common::weights::Store;
use lostwax_format::LanguageModel;
use lostwax_ir::graph::{Graph, TypeError};
use lostwax_ir::types::DType;
use std::path::Path;

/// The families.
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

/// A language model as graphs.
pub struct LanguageGraphs {
    /// The entry points by name. Decoders have `prefill`, `decode` and `score`; encoders have `embed`. They share weights.
    pub entries: Vec<(String, Graph)>,
    /// What else is known of the model.
    pub description: LanguageModel,
    /// Its `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The matrices that [`LanguageOptions::quant`] asked to convert.
    pub conversions: Vec<Conversion>,
}

/// A family of architectures.
struct Family {
    /// The name, for lists.
    name: &'static str,
    /// What GGUF files call the architectures, in `general.architecture`.
    gguf: &'static [&'static str],
    /// What folders call them, in `architectures`.
    folder: &'static [&'static str],
    /// Reads the settings of a model, for a context of some tokens.
    read: fn(&Settings, usize) -> Result<Architecture, ImportError>,
}

/// What graphs depend on.
enum Architecture {
    /// Tokens to logits.
    Decoder(Box<Decoder>),
    /// Tokens to a vector.
    Encoder(Box<Encoder>),
}

impl From<Decoder> for Architecture {
    fn from(decoder: Decoder) -> Self {
        Self::Decoder(Box::new(decoder))
    }
}

/// The families, each with the names of its architectures in GGUF files and in folders.
pub fn families() -> impl Iterator<Item = (&'static str, &'static [&'static str], &'static [&'static str])> {
    FAMILIES.iter().map(|family| (family.name, family.gguf, family.folder))
}

/// Reads a language model: a GGUF file or a Hugging Face folder.
///
/// # Errors
/// [`ImportError`] naming the file, key or tensor.
pub fn load(path: &Path, options: &LanguageOptions) -> Result<LanguageGraphs, ImportError> {
    let settings = Settings::open(path)?;
    let context = context(&settings, options)?;
    match (family(&settings)?.read)(&settings, context)? {
        Architecture::Decoder(decoder) => load_decoder(&settings, &decoder, context, options),
        Architecture::Encoder(encoder) => load_encoder(&settings, &encoder, context, options),
    }
}

fn family(settings: &Settings) -> Result<&'static Family, ImportError> {
    let name = settings.architecture.as_str();
    let names = |family: &Family| if settings.is_gguf() { family.gguf } else { family.folder };
    let known = || FAMILIES.iter().flat_map(names).copied().collect::<Vec<_>>().join(", ");
    let family = FAMILIES.iter().find(|family| names(family).contains(&name));
    family.ok_or_else(|| ImportError::unsupported("architecture", name, format!("known are {}", known())))
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
