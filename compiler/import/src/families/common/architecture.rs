//! What a family says of a model.

use super::attention::{HeadNorms, Heads};
use super::names::{Name, Names};
use super::norm::NormKind;
use super::rope::Rope;
use super::settings::{
    FEED_FORWARD, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, Key, LAYER_EPSILON, LAYERS, RMS_EPSILON, Settings, VALUE_DIM,
};
use crate::ImportError;
use lostwax_ir::ops::Op;

/// The maximum number of layers that are accepted, as a guard against damaged settings.
const MAX_LAYERS: usize = 4096;

/// The largest size of a vector or a number of heads that is accepted.
const MAX_SIZE: usize = 1 << 24;

const EXPERTS_USED: Key = Key { gguf: "expert_used_count", folder: "num_experts_per_tok" };
const EXPERT_WIDTH: Key = Key { gguf: "expert_feed_forward_length", folder: "moe_intermediate_size" };
const SHARED_WIDTH: Key = Key { gguf: "expert_shared_feed_forward_length", folder: "shared_expert_intermediate_size" };

/// Names of activations in folders.
const ACTIVATIONS: &[(&str, Op)] = &[
    ("silu", Op::Silu),
    ("swish", Op::Silu),
    ("gelu", Op::Gelu),
    ("gelu_new", Op::GeluTanh),
    ("gelu_pytorch_tanh", Op::GeluTanh),
    ("relu", Op::Relu),
];

/// A decoder, in all that graphs depend on. The order of work in a layer is
///
/// ```text
/// x = x + after(attention(before(x)))
/// x = x + after(feed_forward(before(x)))
/// ```
///
/// where a norm before or after exists if the names have it.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The names of tensors.
    pub names: Names,
    /// The size of a token's vector.
    pub hidden: usize,
    /// The width of the feed-forward network.
    pub feed_forward: usize,
    /// Sizes and settings of attention.
    pub heads: Heads,
    /// The kind of all norms.
    pub norm: NormKind,
    /// What norms add to the mean square.
    pub epsilon: f64,
    /// What is added to stored weights of norms.
    pub norm_offset: f64,
    /// The activation of the feed-forward network.
    pub activation: Op,
    /// The ways to turn heads that layers refer to.
    pub ropes: Vec<Rope>,
    /// Whether rotary positions pair neighbouring rows of the stored projections.
    pub neighbours: bool,
    /// The layers.
    pub layers: Vec<LayerKind>,
    /// A factor of embeddings.
    pub embedding_scale: f64,
    /// The limit that logits approach.
    pub logit_cap: Option<f64>,
    /// Whether attention and feed-forward network read the same normed vector, `x + attention(y) + feed_forward(y)`.
    pub parallel: bool,
    /// The experts, if the feed-forward network is made of some.
    pub experts: Option<ExpertKind>,
}

/// What differs between layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerKind {
    /// How many tokens a token attends to, itself included; all if absent.
    pub window: Option<usize>,
    /// The position in [`Decoder::ropes`].
    pub rope: usize,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertKind {
    /// The number of experts.
    pub count: usize,
    /// How many are chosen for a token.
    pub used: usize,
    /// The width of each.
    pub width: usize,
    /// The width of the network of all tokens, if there is one.
    pub shared_width: Option<usize>,
    /// Whether the weights of those that are chosen are made to sum up to 1.
    pub normalize: bool,
}

impl Decoder {
    /// A decoder with root-mean-square norms and SiLU, whose settings have their usual names; the family changes what is
    /// different. `names` are norms and what the family names otherwise.
    ///
    /// # Errors
    /// [`ImportError`] naming the setting.
    pub fn read(settings: &Settings, context: usize, names: &[&'static [Name]]) -> Result<Self, ImportError> {
        let hidden = bounded(settings, HIDDEN)?;
        let heads = read_heads(settings, hidden)?;
        let layers = bounded(settings, LAYERS)?;
        if layers > MAX_LAYERS {
            return Err(ImportError::limit("setting", &settings.name(LAYERS), format!("at most {MAX_LAYERS} layers")));
        }
        Ok(Self {
            names: Names::decoder(names),
            hidden,
            feed_forward: bounded(settings, FEED_FORWARD)?,
            norm: NormKind::RootMeanSquare,
            epsilon: settings.find(RMS_EPSILON)?.or(settings.find(LAYER_EPSILON)?).unwrap_or(1e-6),
            norm_offset: 0.0,
            activation: activation(settings, Op::Silu)?,
            ropes: vec![super::rope_scaling::read(settings, context, heads.size)?],
            heads,
            neighbours: false,
            layers: vec![LayerKind::default(); layers],
            embedding_scale: 1.0,
            logit_cap: None,
            parallel: false,
            experts: None,
        })
    }

    /// Gives layers a window, those that `has_window` picks by number. A window of 0 is none.
    pub fn set_windows(&mut self, window: Option<usize>, has_window: impl Fn(usize) -> bool) {
        for (number, layer) in self.layers.iter_mut().enumerate() {
            layer.window = window.filter(|window| *window > 0 && has_window(number));
        }
    }
}

impl ExpertKind {
    /// The experts of a model, if it has some.
    ///
    /// # Errors
    /// [`ImportError`] naming the setting.
    pub fn read(settings: &Settings, count: Key, normalize: bool) -> Result<Option<Self>, ImportError> {
        let Some(count) = settings.find(count)?.filter(|count| *count > 0) else { return Ok(None) };
        let used = bounded(settings, EXPERTS_USED)?;
        let width = settings.find(EXPERT_WIDTH)?.map_or_else(|| bounded(settings, FEED_FORWARD), Ok)?;
        let shared_width = settings.find(SHARED_WIDTH)?.filter(|width| *width > 0);
        Ok(Some(Self { count, used, width, shared_width, normalize }))
    }
}

/// A size that fits what is accepted.
pub(super) fn bounded(settings: &Settings, key: Key) -> Result<usize, ImportError> {
    let size = settings.size(key)?;
    let problem = || ImportError::limit("setting", &settings.name(key), format!("{size}; at most {MAX_SIZE} is supported"));
    if size <= MAX_SIZE { Ok(size) } else { Err(problem()) }
}

pub(super) fn read_heads(settings: &Settings, hidden: usize) -> Result<Heads, ImportError> {
    let query = bounded(settings, HEADS)?;
    let kv = settings.find(KV_HEADS)?.unwrap_or(query);
    if kv == 0 || !query.is_multiple_of(kv) {
        return Err(settings.invalid(KV_HEADS, format!("{query} heads cannot share {kv}")));
    }
    let size = settings.find(HEAD_DIM)?.unwrap_or(hidden / query);
    if size == 0 || size > MAX_SIZE {
        return Err(settings.invalid(HEAD_DIM, format!("{size} is not a size of a head")));
    }
    let value = settings.find(VALUE_DIM)?.unwrap_or(size);
    if value != size {
        return Err(settings.unsupported(VALUE_DIM, format!("values of size {value} beside keys of size {size}")));
    }
    Ok(Heads { query, kv, size, scale: 1.0 / (size as f64).sqrt(), cap: None, norms: HeadNorms::Shared })
}

/// The activation that a folder names; GGUF files name none.
pub(super) fn activation(settings: &Settings, otherwise: Op) -> Result<Op, ImportError> {
    let keys = ["hidden_activation", "hidden_act"].map(|folder| Key { gguf: "", folder });
    for key in keys {
        if let Some(name) = settings.text(key)? {
            let op = ACTIVATIONS.iter().find(|(known, _)| *known == name).map(|(_, op)| *op);
            return op.ok_or_else(|| settings.unsupported(key, format!("the activation `{name}`")));
        }
    }
    Ok(otherwise)
}
