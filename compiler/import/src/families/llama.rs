//! Llama 1 to 3 and what is built like it, such as TinyLlama and SmolLM2; in GGUF files Mistral and Mixtral too.

use super::common::architecture::{Decoder, ExpertKind};
use super::common::names::NORMS_BEFORE;
use super::common::settings::Settings;
use super::{Architecture, Family, mixtral};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "llama", gguf: &["llama"], folder: &["LlamaForCausalLM"], read };

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE, mixtral::EXPERTS])?;
    decoder.neighbours = settings.is_gguf();
    decoder.experts = ExpertKind::read(settings, mixtral::COUNT, true)?;
    Ok(decoder.into())
}
