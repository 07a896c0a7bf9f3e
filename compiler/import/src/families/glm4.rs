//! GLM 4 0414: norms before and after, and rotary positions that pair neighbours in a part of each head.

use super::common::architecture::Decoder;
use super::common::names::Name;
use super::common::settings::Settings;
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "glm4", gguf: &["glm4"], folder: &["Glm4ForCausalLM"], read };

const NAMES: &[Name] = &[
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_self_attn_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_mlp_layernorm"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("ffn_up", "mlp.gate_up_proj"),
];

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NAMES])?;
    decoder.neighbours = true;
    Ok(decoder.into())
}
