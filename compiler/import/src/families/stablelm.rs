//! StableLM 1 and 2 (Bellagente et al., "Stable LM 2 1.6B Technical Report", 2024): norms that take the mean away, heads of which
//! a part is turned; the 12B model reads one normed vector for attention and feed-forward network.

use super::common::architecture::Decoder;
use super::common::attention::HeadNorms;
use super::common::names::{NORMS_BEFORE, Name};
use super::common::norm::NormKind;
use super::common::settings::{Key, Settings};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "stablelm", gguf: &["stablelm"], folder: &["StableLmForCausalLM"], read };

const PARALLEL: Key = Key { gguf: "use_parallel_residual", folder: "use_parallel_residual" };
const HEAD_NORMS: Key = Key { gguf: "", folder: "qk_layernorm" };

const NORM_BEFORE_BOTH: &[Name] = &[("attn_norm", "input_layernorm")];
const NORMS_OF_HEADS: &[Name] =
    &[("attn_q_norm", "self_attn.q_layernorm.norms.{}"), ("attn_k_norm", "self_attn.k_layernorm.norms.{}")];

/// What GGUF files of models have whose heads have norms.
const STORED_HEAD_NORM: &str = "blk.0.attn_q_norm.weight";

/// What GGUF files of models have that read two normed vectors.
const SECOND_NORM: &str = "blk.0.ffn_norm.weight";

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let has = |name: &str| settings.is_gguf() && settings.weights().get(name).is_some();
    let parallel = settings.find(PARALLEL)?.unwrap_or(false) && !has(SECOND_NORM);
    let mut names = vec![if parallel { NORM_BEFORE_BOTH } else { NORMS_BEFORE }];
    if settings.find(HEAD_NORMS)?.unwrap_or(has(STORED_HEAD_NORM)) {
        names.push(NORMS_OF_HEADS);
    }
    let mut decoder = Decoder::read(settings, context, &names)?;
    decoder.norm = NormKind::Layer;
    decoder.parallel = parallel;
    decoder.heads.norms = HeadNorms::Each;
    Ok(decoder.into())
}
