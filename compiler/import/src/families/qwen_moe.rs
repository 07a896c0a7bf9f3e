//! Mixtures of experts of Qwen 2, with a network of all tokens, and of Qwen 3.

use super::common::architecture::{Decoder, ExpertKind};
use super::common::names::{HEAD_NORMS, NORMS_BEFORE, Name};
use super::common::settings::{Key, Settings};
use super::{Architecture, Family};
use crate::ImportError;

/// The family of Qwen 2.
pub(super) const QWEN2: Family =
    Family { name: "qwen2moe", gguf: &["qwen2moe"], folder: &["Qwen2MoeForCausalLM"], read: read_qwen2 };

/// The family of Qwen 3.
pub(super) const QWEN3: Family =
    Family { name: "qwen3moe", gguf: &["qwen3moe"], folder: &["Qwen3MoeForCausalLM"], read: read_qwen3 };

const COUNT: Key = Key { gguf: "expert_count", folder: "num_experts" };
const NORMALIZE: Key = Key { gguf: "expert_weights_norm", folder: "norm_topk_prob" };
const STEP: Key = Key { gguf: "", folder: "decoder_sparse_step" };
const DENSE: Key = Key { gguf: "", folder: "mlp_only_layers" };

const EXPERTS: &[Name] = &[
    ("ffn_gate_inp", "mlp.gate"),
    ("ffn_gate_exps", "mlp.experts.{}.gate_proj"),
    ("ffn_up_exps", "mlp.experts.{}.up_proj"),
    ("ffn_down_exps", "mlp.experts.{}.down_proj"),
    ("ffn_gate_inp_shexp", "mlp.shared_expert_gate"),
    ("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
    ("ffn_up_shexp", "mlp.shared_expert.up_proj"),
    ("ffn_down_shexp", "mlp.shared_expert.down_proj"),
];

fn read_qwen2(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    read(settings, context, &[NORMS_BEFORE, EXPERTS], false)
}

fn read_qwen3(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    read(settings, context, &[NORMS_BEFORE, HEAD_NORMS, EXPERTS], settings.is_gguf())
}

fn read(settings: &Settings, context: usize, names: &[&'static [Name]], normalize: bool) -> Result<Architecture, ImportError> {
    if settings.find(STEP)?.unwrap_or(1usize) != 1 {
        return Err(settings.unsupported(STEP, "layers without experts between those with experts"));
    }
    if settings.find::<Vec<usize>>(DENSE)?.is_some_and(|layers| !layers.is_empty()) {
        return Err(settings.unsupported(DENSE, "layers without experts between those with experts"));
    }
    let mut decoder = Decoder::read(settings, context, names)?;
    decoder.experts = ExpertKind::read(settings, COUNT, settings.find(NORMALIZE)?.unwrap_or(normalize))?;
    Ok(decoder.into())
}
