//! Encoders of sentences.

use super::architecture::{activation, bounded, read_heads};
use super::attention::{Attention, AttentionMask, Heads, Text, View};
use super::builder::{Builder, Built, dim};
use super::feed_forward::FeedForward;
use super::names::Names;
use super::norm::{Norm, NormKind};
use super::settings::{FEED_FORWARD, HIDDEN, LAYER_EPSILON, LAYERS, Settings};
use super::weights::{Layer, Linear, Matrix, Rows, Store};
use crate::ImportError;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};
use std::sync::Arc;

/// What norms add to the mean square where a model names nothing.
const DEFAULT_EPSILON: f64 = 1e-12;

/// The least length that an embedding is divided by.
const LEAST_LENGTH: f64 = 1e-12;

/// How the vectors of tokens become that of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first.
    First,
}

/// An encoder, in all that graphs depend on. Norms follow attention and feed-forward network.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The names of tensors.
    pub names: Names,
    unneeded: &'static [&'static str],
    hidden: usize,
    feed_forward: usize,
    layers: usize,
    heads: Heads,
    epsilon: f64,
    activation: Op,
    pooling: Pooling,
}

/// All weights of an encoder.
pub struct EncoderWeights {
    embedding: Matrix,
    positions: Matrix,
    kind: Option<Arc<Tensor>>,
    norm: Norm,
    layers: Vec<LayerWeights>,
}

struct LayerWeights {
    attention: Attention,
    attention_norm: Norm,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
}

impl Encoder {
    /// Reads the settings of an encoder; `unneeded` are parts of names of tensors that it has no use for.
    ///
    /// # Errors
    /// [`ImportError`] naming the setting.
    pub fn read(
        settings: &Settings,
        names: Names,
        unneeded: &'static [&'static str],
        pooling: Pooling,
    ) -> Result<Self, ImportError> {
        let hidden = bounded(settings, HIDDEN)?;
        Ok(Self {
            names,
            unneeded,
            hidden,
            feed_forward: bounded(settings, FEED_FORWARD)?,
            layers: bounded(settings, LAYERS)?,
            heads: read_heads(settings, hidden)?,
            epsilon: settings.find(LAYER_EPSILON)?.unwrap_or(DEFAULT_EPSILON),
            activation: activation(settings, Op::Gelu)?,
            pooling,
        })
    }

    fn norm(&self, store: &mut Store, layer: Layer, part: &str) -> Result<Norm, ImportError> {
        let weight = store.scale(layer, part, [1, self.hidden], 0.0)?;
        Ok(Norm { kind: NormKind::Layer, epsilon: self.epsilon, weight, bias: store.shift(layer, part, self.hidden)? })
    }
}

impl EncoderWeights {
    /// Reads the weights of an encoder.
    ///
    /// # Errors
    /// [`ImportError`] naming the tensor that is missing, does not fit the settings or has no place in the model.
    pub fn read(store: &mut Store, encoder: &Encoder) -> Result<Self, ImportError> {
        let mut table = |part: &str| {
            let rows = Rows::all(store.rows(part)?);
            store.matrix(None, part, &rows, encoder.hidden)
        };
        let (embedding, positions) = (table("token_embd")?, table("position_embd")?);
        let kind = store.has(None, "token_types").then(|| store.first_row(None, "token_types", encoder.hidden)).transpose()?;
        let norm = encoder.norm(store, None, "token_embd_norm")?;
        let layers = (0..encoder.layers).map(|layer| LayerWeights::read(store, encoder, layer)).collect::<Result<_, _>>()?;
        store.check_all_used(encoder.unneeded)?;
        Ok(Self { embedding, positions, kind, norm, layers })
    }
}

impl LayerWeights {
    fn read(store: &mut Store, encoder: &Encoder, layer: usize) -> Result<Self, ImportError> {
        let (at, hidden, width) = (Some(layer), encoder.hidden, encoder.heads.query * encoder.heads.size);
        let mut linear = |part: &str, rows: usize, depth: usize| store.linear(at, part, &Rows::all(rows), depth);
        let attention = Attention {
            query: linear("attn_q", width, hidden)?,
            key: linear("attn_k", width, hidden)?,
            value: linear("attn_v", width, hidden)?,
            output: linear("attn_output", hidden, width)?,
            query_norm: None,
            key_norm: None,
        };
        let up: Linear = linear("ffn_up", encoder.feed_forward, hidden)?;
        let feed_forward = FeedForward::Plain { up, down: linear("ffn_down", hidden, encoder.feed_forward)? };
        let attention_norm = encoder.norm(store, at, "attn_output_norm")?;
        Ok(Self { attention, attention_norm, feed_forward, feed_forward_norm: encoder.norm(store, at, "layer_output_norm")? })
    }
}

/// The graph `embed` of `tokens: i32[sequence]`, whose output `embedding: f32[hidden]` has the length 1.
///
/// # Errors
/// [`TypeError`] when settings and weights do not fit each other.
pub fn entries(
    encoder: &Encoder,
    weights: &EncoderWeights,
    context: usize,
    activations: DType,
) -> Result<Vec<(String, Graph)>, TypeError> {
    let mut b = Builder::new("embed", activations);
    let sequence = Dim::symbol(&Symbol::new("sequence", 1, i64::try_from(context).unwrap_or(i64::MAX)));
    let text = Text { past: Dim::default(), sequence: sequence.clone(), slot: None };
    let view = View { texts: vec![text], rotation: None, mask: AttentionMask::All, room: 0 };
    let mut x = embed(&mut b, encoder, weights, &sequence)?;
    for layer in &weights.layers {
        let mixed = b.attention(x, &layer.attention, &encoder.heads, &view, None)?;
        let sum = b.sum(x, mixed)?;
        x = b.norm(sum, &layer.attention_norm)?;
        let fed = b.feed_forward(x, &layer.feed_forward, encoder.activation)?;
        let sum = b.sum(x, fed)?;
        x = b.norm(sum, &layer.feed_forward_norm)?;
    }
    let embedding = pool(&mut b, x, encoder)?;
    b.graph.output("embedding", embedding);
    Ok(vec![("embed".to_string(), b.graph)])
}

/// The sum of the vectors of token, position and kind of text, which is always the first.
fn embed(b: &mut Builder, encoder: &Encoder, weights: &EncoderWeights, sequence: &Dim) -> Built {
    let tokens = b.graph.input("tokens", &TensorType { dtype: DType::I32, dims: vec![sequence.clone()] })?;
    let table = b.matrix(&weights.embedding)?;
    let words = b.gather(table, tokens)?;
    let positions = b.matrix(&weights.positions)?;
    let positions = b.slice(positions, &[0.into(), 0.into()], &[sequence.clone(), dim(encoder.hidden)])?;
    let mut sum = b.sum(words, positions)?;
    if let Some(kind) = &weights.kind {
        let kind = b.constant(kind)?;
        sum = b.sum(sum, kind)?;
    }
    b.norm(sum, &weights.norm)
}

fn pool(b: &mut Builder, x: Value, encoder: &Encoder) -> Built {
    let pooled = match encoder.pooling {
        Pooling::Mean => b.reduce(Op::ReduceMean, x, 0)?,
        Pooling::First => b.slice(x, &[0.into(), 0.into()], &[1.into(), dim(encoder.hidden)])?,
    };
    let squares = b.product(pooled, pooled)?;
    let total = b.reduce(Op::ReduceSum, squares, 1)?;
    let length = b.op(Op::Sqrt, &[total])?;
    let length = b.with(Op::Maximum, length, LEAST_LENGTH)?;
    let unit = b.op(Op::Div, &[pooled, length])?;
    b.reshape(unit, &[dim(encoder.hidden)])
}
