//! Gemma 2 (Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024): norms before and after, scores and
//! logits that are bounded, a window in every other layer.

use super::common::architecture::Decoder;
use super::common::names::Name;
use super::common::settings::{Key, Settings, WINDOW};
use super::{Architecture, Family};
use crate::ImportError;
use lostwax_ir::ops::Op;

/// The family.
pub(super) const FAMILY: Family = Family { name: "gemma2", gguf: &["gemma2"], folder: &["Gemma2ForCausalLM"], read };

/// The names of norms.
pub(super) const NORMS: &[Name] = &[
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const SCORE_CAP: Key = Key { gguf: "attn_logit_softcapping", folder: "attn_logit_softcapping" };
const LOGIT_CAP: Key = Key { gguf: "final_logit_softcapping", folder: "final_logit_softcapping" };
const QUERY_SIZE: Key = Key { gguf: "", folder: "query_pre_attn_scalar" };

/// Layers up to the next one without a window, and the window where GGUF files name none.
const PERIOD: usize = 2;
const DEFAULT_WINDOW: usize = 4096;

/// The layers of the model whose scores are scaled by the share of a head in a token's vector, 27B.
const LARGEST: usize = 46;

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = read_common(settings, context, &[NORMS], LARGEST)?;
    let window = settings.find(WINDOW)?.unwrap_or(DEFAULT_WINDOW);
    decoder.set_windows(Some(window), |layer| layer % PERIOD + 1 != PERIOD);
    Ok(decoder.into())
}

/// What Gemma 2 and 3 have in common.
pub(super) fn read_common(
    settings: &Settings,
    context: usize,
    names: &[&'static [Name]],
    largest: usize,
) -> Result<Decoder, ImportError> {
    let mut decoder = Decoder::read(settings, context, names)?;
    decoder.activation = Op::GeluTanh;
    decoder.norm_offset = if settings.is_gguf() { 0.0 } else { 1.0 };
    decoder.embedding_scale = (decoder.hidden as f64).sqrt();
    decoder.heads.cap = cap(settings, SCORE_CAP)?;
    decoder.logit_cap = cap(settings, LOGIT_CAP)?;
    let share = (decoder.hidden / decoder.heads.query) as f64;
    let in_file = (settings.is_gguf() && decoder.layers.len() == largest).then_some(share);
    let size = settings.find(QUERY_SIZE)?.or(in_file).unwrap_or(decoder.heads.size as f64);
    decoder.heads.scale = 1.0 / size.sqrt();
    Ok(decoder)
}

fn cap(settings: &Settings, key: Key) -> Result<Option<f64>, ImportError> {
    Ok(settings.find(key)?.filter(|cap| *cap != 0.0))
}
