//! Qwen 3: Llama with norms of queries and keys.

use super::common::architecture::Decoder;
use super::common::names::{HEAD_NORMS, NORMS_BEFORE};
use super::common::settings::Settings;
use super::{Architecture, Family, qwen2};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "qwen3", gguf: &["qwen3"], folder: &["Qwen3ForCausalLM"], read };

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE, HEAD_NORMS])?;
    qwen2::set_windows(&mut decoder, settings)?;
    Ok(decoder.into())
}
