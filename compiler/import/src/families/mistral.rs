//! Mistral (Jiang et al., "Mistral 7B", 2023): Llama with a window in all layers. GGUF files call it `llama`.

use super::common::architecture::Decoder;
use super::common::names::NORMS_BEFORE;
use super::common::settings::{Settings, WINDOW};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "mistral", gguf: &[], folder: &["MistralForCausalLM"], read };

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE])?;
    decoder.set_windows(settings.find(WINDOW)?, |_| true);
    Ok(decoder.into())
}
