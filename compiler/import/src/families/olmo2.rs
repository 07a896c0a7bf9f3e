//! OLMo 2 (OLMo Team, "2 OLMo 2 Furious", 2024): norms after instead of before, and of all queries and all keys together.

use super::common::architecture::Decoder;
use super::common::attention::HeadNorms;
use super::common::names::{HEAD_NORMS, Name};
use super::common::settings::{Settings, WINDOW};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "olmo2", gguf: &["olmo2"], folder: &["Olmo2ForCausalLM"], read };

const NORMS: &[Name] = &[("post_attention_norm", "post_attention_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm")];

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    if settings.find(WINDOW)?.unwrap_or(0usize) > 0 {
        return Err(settings.unsupported(WINDOW, "windows in this family, which OLMo 3 has; OLMo 2 has none"));
    }
    let mut decoder = Decoder::read(settings, context, &[NORMS, HEAD_NORMS])?;
    decoder.heads.norms = HeadNorms::Joint;
    Ok(decoder.into())
}
