//! Llama, and what is built like it: TinyLlama, SmolLM2, Mistral and Mixtral in GGUF files.

use super::common::architecture::Decoder;
use super::common::names::NORMS_BEFORE;
use super::common::settings::Settings;
use super::{Architecture, Family};
use crate::import::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "llama", gguf: &["llama"], folder: &["LlamaForCausalLM"], read };

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE])?;
    decoder.neighbours = settings.is_gguf();
    Ok(Architecture::Decoder(Box::new(decoder)))
}
