//! The weights of a decoder.

use super::architecture::{Decoder, ExpertKind};
use super::attention::{Attention, HeadNorms};
use super::feed_forward::{FeedForward, Gated};
use super::moe::Experts;
use super::norm::Norm;
use super::rope::Tables;
use super::rope_scaling;
use super::weights::{Layer, Linear, Matrix, Neighbours, Rows, Store};
use crate::ImportError;

/// Tensors of models that no graph needs: rotary frequencies follow from the settings.
const UNNEEDED: [&str; 1] = ["rotary_emb.inv_freq"];

/// All weights.
pub struct DecoderWeights {
    /// `[vocabulary, hidden]`.
    pub embedding: Matrix,
    /// The norm before the head.
    pub norm: Option<Norm>,
    /// What gives logits, unless embeddings do.
    pub head: Option<Linear>,
    /// The layers.
    pub layers: Vec<LayerWeights>,
    /// Sines and cosines, by position in [`Decoder::ropes`].
    pub tables: Vec<Tables>,
}

/// The weights of one layer.
pub struct LayerWeights {
    /// See [`Decoder`].
    pub before_attention: Option<Norm>,
    /// Attention.
    pub attention: Attention,
    /// See [`Decoder`].
    pub after_attention: Option<Norm>,
    /// See [`Decoder`].
    pub before_feed_forward: Option<Norm>,
    /// The feed-forward network.
    pub feed_forward: FeedForward,
    /// See [`Decoder`].
    pub after_feed_forward: Option<Norm>,
}

impl DecoderWeights {
    /// Reads the weights of a decoder for a context.
    ///
    /// # Errors
    /// [`ImportError`] naming the tensor that is missing, does not fit the settings or has no place in the model.
    pub fn read(store: &mut Store, decoder: &Decoder, context: usize) -> Result<Self, ImportError> {
        let rows = Rows::all(store.rows("token_embd")?);
        let embedding = store.matrix(None, "token_embd", &rows, decoder.hidden)?;
        let head = if store.has(None, "output") { Some(store.linear(None, "output", &rows, decoder.hidden)?) } else { None };
        let mut reader = Reader { store, decoder };
        let norm = reader.norm(None, "output_norm", [1, decoder.hidden])?;
        let layers = (0..decoder.layers.len()).map(|layer| reader.layer(layer)).collect::<Result<_, _>>()?;
        store.check_all_used(&[&UNNEEDED[..], &rope_scaling::TENSORS].concat())?;
        let tables = decoder.ropes.iter().map(|rope| rope.tables(context)).collect::<Result<_, _>>()?;
        Ok(Self { embedding, norm, head, layers, tables })
    }
}

struct Reader<'a, 'b> {
    store: &'a mut Store<'b>,
    decoder: &'a Decoder,
}

impl Reader<'_, '_> {
    fn layer(&mut self, layer: usize) -> Result<LayerWeights, ImportError> {
        let (at, hidden) = (Some(layer), [1, self.decoder.hidden]);
        Ok(LayerWeights {
            before_attention: self.norm(at, "attn_norm", hidden)?,
            attention: self.attention(layer)?,
            after_attention: self.norm(at, "post_attention_norm", hidden)?,
            before_feed_forward: self.norm(at, "ffn_norm", hidden)?,
            feed_forward: self.feed_forward(layer)?,
            after_feed_forward: self.norm(at, "post_ffw_norm", hidden)?,
        })
    }

    /// A norm, if the family has it.
    fn norm(&mut self, layer: Layer, part: &str, shape: [usize; 2]) -> Result<Option<Norm>, ImportError> {
        if !self.decoder.names.has(part) {
            return Ok(None);
        }
        let weight = self.store.scale(layer, part, shape, self.decoder.norm_offset)?;
        let bias = self.store.shift(layer, part, shape[1])?;
        Ok(Some(Norm { kind: self.decoder.norm, epsilon: self.decoder.epsilon, weight, bias }))
    }

    fn attention(&mut self, layer: usize) -> Result<Attention, ImportError> {
        let (heads, at, hidden) = (self.decoder.heads.clone(), Some(layer), self.decoder.hidden);
        let (wide, narrow) = (heads.query * heads.size, heads.kv * heads.size);
        let starts = [0, wide, wide + narrow, wide + 2 * narrow];
        let order = self.neighbours(layer);
        let parts = [("attn_q", order), ("attn_k", order), ("attn_v", None)];
        let mut projections = Vec::new();
        for ((part, order), ends) in parts.into_iter().zip(starts.windows(2)) {
            let range = ends[0]..ends[1];
            projections.push(if self.store.has(at, "attn_qkv") {
                self.store.linear(at, "attn_qkv", &Rows { range, of: starts[3], order }, hidden)?
            } else {
                self.store.linear(at, part, &Rows { range: 0..range.len(), of: range.len(), order }, hidden)?
            });
        }
        let query_norm = self.head_norm(layer, "attn_q_norm", heads.query)?;
        let key_norm = self.head_norm(layer, "attn_k_norm", heads.kv)?;
        let output = self.store.linear(at, "attn_output", &Rows::all(hidden), wide)?;
        let missing = || ImportError::invalid("layer", &layer.to_string(), "projections are missing");
        let [query, key, value] = projections.try_into().map_err(|_| missing())?;
        Ok(Attention { query, key, value, output, query_norm, key_norm })
    }

    /// The norm of queries or keys.
    fn head_norm(&mut self, layer: usize, part: &str, count: usize) -> Result<Option<Norm>, ImportError> {
        let heads = &self.decoder.heads;
        match heads.norms {
            HeadNorms::Shared => self.norm(Some(layer), part, [1, heads.size]),
            HeadNorms::Each => self.norm(Some(layer), part, [count, heads.size]),
            HeadNorms::Joint => self.norm(Some(layer), part, [1, count * heads.size]),
        }
    }

    fn neighbours(&self, layer: usize) -> Option<Neighbours> {
        let rope = self.decoder.layers.get(layer).and_then(|kind| self.decoder.ropes.get(kind.rope))?;
        let rotary = 2 * rope.frequencies.len();
        self.decoder.neighbours.then_some(Neighbours { head: self.decoder.heads.size, rotary })
    }

    fn feed_forward(&mut self, layer: usize) -> Result<FeedForward, ImportError> {
        match self.decoder.experts {
            Some(kind) => Ok(FeedForward::Experts(Box::new(self.experts(layer, kind)?))),
            None => Ok(FeedForward::Gated(self.gated(layer, "", self.decoder.feed_forward)?)),
        }
    }

    /// A gated network whose parts end with `suffix`. Gate and the rest may be the two halves of `ffn_up`.
    fn gated(&mut self, layer: usize, suffix: &str, width: usize) -> Result<Gated, ImportError> {
        let (at, hidden) = (Some(layer), self.decoder.hidden);
        let [gate, up, down] = ["ffn_gate", "ffn_up", "ffn_down"].map(|part| format!("{part}{suffix}"));
        let down = self.store.linear(at, &down, &Rows::all(hidden), width)?;
        if self.store.shape(at, &up)?.first() != Some(&(2 * width)) {
            let rows = Rows::all(width);
            return Ok(Gated {
                gate: self.store.linear(at, &gate, &rows, hidden)?,
                up: self.store.linear(at, &up, &rows, hidden)?,
                down,
            });
        }
        let mut half = |range| self.store.linear(at, &up, &Rows { range, of: 2 * width, order: None }, hidden);
        Ok(Gated { gate: half(0..width)?, up: half(width..2 * width)?, down })
    }

    fn experts(&mut self, layer: usize, kind: ExpertKind) -> Result<Experts, ImportError> {
        let (at, hidden, ExpertKind { count, width, .. }) = (Some(layer), self.decoder.hidden, kind);
        let shared = match kind.shared_width {
            Some(width) => {
                let gate = self.store.linear(at, "ffn_gate_inp_shexp", &Rows::all(1), hidden)?;
                Some((self.gated(layer, "_shexp", width)?, gate))
            }
            None => None,
        };
        Ok(Experts {
            router: self.store.linear(at, "ffn_gate_inp", &Rows::all(count), hidden)?,
            gate: self.store.experts(layer, "ffn_gate_exps", [count, width, hidden])?,
            up: self.store.experts(layer, "ffn_up_exps", [count, width, hidden])?,
            down: self.store.experts(layer, "ffn_down_exps", [count, hidden, width])?,
            used: kind.used.min(count),
            normalize: kind.normalize,
            shared,
        })
    }
}
