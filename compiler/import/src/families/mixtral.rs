//! Mixtral (Jiang et al., "Mixtral of Experts", 2024). GGUF files call it `llama`.

use super::common::architecture::{Decoder, ExpertKind};
use super::common::names::{NORMS_BEFORE, Name};
use super::common::settings::{Key, Settings, WINDOW};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "mixtral", gguf: &[], folder: &["MixtralForCausalLM"], read };

/// The number of experts.
pub(super) const COUNT: Key = Key { gguf: "expert_count", folder: "num_local_experts" };

/// The names of experts.
pub(super) const EXPERTS: &[Name] = &[
    ("ffn_gate_inp", "block_sparse_moe.gate"),
    ("ffn_gate_exps", "block_sparse_moe.experts.{}.w1"),
    ("ffn_down_exps", "block_sparse_moe.experts.{}.w2"),
    ("ffn_up_exps", "block_sparse_moe.experts.{}.w3"),
];

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE, EXPERTS])?;
    decoder.experts = ExpertKind::read(settings, COUNT, true)?;
    decoder.set_windows(settings.find(WINDOW)?, |_| true);
    Ok(decoder.into())
}
