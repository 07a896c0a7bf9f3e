//! Phi 3 and 4 (Abdin et al., "Phi-3 Technical Report", 2024): Llama whose projections are stored together.

use super::common::architecture::Decoder;
use super::common::names::{NORMS_BEFORE, Name};
use super::common::settings::{Settings, WINDOW};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "phi3", gguf: &["phi3"], folder: &["Phi3ForCausalLM"], read };

const TOGETHER: &[Name] = &[("attn_qkv", "self_attn.qkv_proj"), ("ffn_up", "mlp.gate_up_proj")];

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE, TOGETHER])?;
    decoder.set_windows(settings.find(WINDOW)?, |_| true);
    Ok(decoder.into())
}
