//! Attention (Vaswani et al., "Attention Is All You Need", 2017), where groups of query heads may share keys and values (Ainslie
//! et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints", 2023).

use super::builder::{Builder, Built, dim};
use super::norm::Norm;
use super::rope::Rotation;
use super::weights::Linear;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{TypeError, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::types::{DType, TensorType};

/// What hidden keys get as a score: small enough that its power is 0, and finite.
const HIDDEN_SCORE: f64 = -1e30;

/// The weights of one layer's attention.
pub(in crate::models) struct Attention {
    /// Queries.
    pub(in crate::models) query: Linear,
    /// Keys.
    pub(in crate::models) key: Linear,
    /// Values.
    pub(in crate::models) value: Linear,
    /// What brings heads together.
    pub(in crate::models) output: Linear,
    /// Norms of queries and keys.
    pub(in crate::models) query_norm: Option<Norm>,
    /// See `query_norm`.
    pub(in crate::models) key_norm: Option<Norm>,
}

/// Sizes and settings of attention.
#[derive(Clone, Debug)]
pub(in crate::models) struct Heads {
    /// The number of query heads; a multiple of `kv`.
    pub(in crate::models) query: usize,
    /// The number of heads of keys and values.
    pub(in crate::models) kv: usize,
    /// The size of a head.
    pub(in crate::models) size: usize,
    /// A factor of scores.
    pub(in crate::models) scale: f64,
    /// The limit that scores approach.
    pub(in crate::models) cap: Option<f64>,
    /// What the norms of queries and keys go over.
    pub(in crate::models) norms: HeadNorms,
}

/// What the norms of queries and keys go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum HeadNorms {
    /// Each head, with the same weights.
    Shared,
    /// Each head, with weights of its own.
    Each,
    /// All heads together.
    Joint,
}

/// Where tokens stand, and what they see.
#[derive(Clone)]
pub(in crate::models) struct View {
    /// The number of tokens in the cache.
    pub(in crate::models) past: Dim,
    /// The number of tokens of the run.
    pub(in crate::models) sequence: Dim,
    /// How heads are turned.
    pub(in crate::models) rotation: Option<Rotation>,
    /// Which keys are seen: bool, broadcast with `[.., sequence, past + sequence]`; all if absent.
    pub(in crate::models) mask: Option<Value>,
}

/// The cache of one layer.
pub(in crate::models) struct Cache {
    /// The number of the layer.
    pub(in crate::models) layer: usize,
    /// The number of tokens.
    pub(in crate::models) context: usize,
    /// The element type.
    pub(in crate::models) dtype: DType,
}

/// Elements of one token's row in a cache; where tokens lie next to each other, rows take an odd number of cache lines, as those
/// of neighbouring rows would else fall on each other.
fn row_length(context: usize, tokens_are_neighbours: bool) -> usize {
    const LINE: usize = 16;
    if tokens_are_neighbours { (context.div_ceil(LINE) | 1) * LINE } else { context }
}

impl Builder {
    /// Attention of `x[sequence, hidden]`. With a cache, to the tokens before too.
    pub(in crate::models) fn attention(
        &mut self,
        x: Value,
        weights: &Attention,
        heads: &Heads,
        view: &View,
        cache: Option<&Cache>,
    ) -> Built {
        let query = self.heads(x, &weights.query, weights.query_norm.as_ref(), heads, heads.query)?;
        let key = self.heads(x, &weights.key, weights.key_norm.as_ref(), heads, heads.kv)?;
        let value = self.heads(x, &weights.value, None, heads, heads.kv)?;
        let (query, key) = (self.maybe_rotate(query, view, heads)?, self.maybe_rotate(key, view, heads)?);
        let (key, value) = (self.transpose(key, &[1, 2, 0])?, self.transpose(value, &[1, 0, 2])?);
        let (key, value) = match cache {
            Some(cache) => (self.cached(key, "keys", 2, view, cache)?, self.cached(value, "values", 1, view, cache)?),
            None => (self.with_group(key)?, self.with_group(value)?),
        };
        let mixed = self.attend(query, key, value, heads, view)?;
        self.linear(mixed, &weights.output)
    }

    /// A projection as `[sequence, heads, size]`.
    fn heads(&mut self, x: Value, linear: &Linear, norm: Option<&Norm>, heads: &Heads, count: usize) -> Built {
        let projected = self.linear(x, linear)?;
        let sequence = self.dims(x).first().cloned().unwrap_or_default();
        let (before, after) = if heads.norms == HeadNorms::Joint { (norm, None) } else { (None, norm) };
        let projected = self.maybe_norm(projected, before)?;
        let split = self.reshape(projected, &[sequence, dim(count), dim(heads.size)])?;
        self.maybe_norm(split, after)
    }

    fn maybe_rotate(&mut self, x: Value, view: &View, heads: &Heads) -> Built {
        view.rotation.map_or(Ok(x), |rotation| self.rotate(x, rotation, heads.size))
    }

    /// Appends to a state whose tokens lie along `axis`, and gives all that it holds as f32, with an axis for groups.
    fn cached(&mut self, new: Value, name: &str, axis: usize, view: &View, cache: &Cache) -> Built {
        let name = format!("{name}.{}", cache.layer);
        let mut dims = self.dims(new);
        let rank = dims.len();
        let (mut starts, mut held) = (vec![Dim::default(); dims.len()], dims.clone());
        if let (Some(size), Some(start), Some(count)) = (dims.get_mut(axis), starts.get_mut(axis), held.get_mut(axis)) {
            *count = view.past.clone() + view.sequence.clone();
            (*size, *start) = (dim(row_length(cache.context, axis + 1 == rank)), view.past.clone());
        }
        let state = self.graph.state(&name, &TensorType { dtype: cache.dtype, dims })?;
        let new = self.cast(new, cache.dtype)?;
        let next = self.graph.add(Op::UpdateSlice, Attrs::new().with("starts", starts), &[state, new])?;
        self.graph.output(&name, next);
        let grouped = self.with_group(next)?;
        held.insert(1, 1.into());
        let all = self.slice(grouped, &vec![Dim::default(); held.len()], &held)?;
        self.cast(all, DType::F32)
    }

    /// `softmax(query * key) * value` for queries `[sequence, heads, size]`, keys `[kv heads, size, tokens]` and values
    /// `[kv heads, tokens, size]`, as `[sequence, heads * size]`.
    ///
    /// The heads of a group are rows of one product where there is one token; else tokens are rows.
    fn attend(&mut self, query: Value, key: Value, value: Value, heads: &Heads, view: &View) -> Built {
        let (kv, group, size) = (dim(heads.kv), dim(heads.query / heads.kv.max(1)), dim(heads.size));
        let single = view.sequence.is(1);
        let split = if single { [kv, 1.into(), group, size] } else { [view.sequence.clone(), kv, group, size] };
        let mut query = self.reshape(query, &split)?;
        if !single {
            query = self.transpose(query, &[1, 2, 0, 3])?;
        }
        let query = self.scaled(query, heads.scale)?;
        let scores = self.op(Op::MatMul, &[query, key])?;
        let scores = self.capped(scores, heads.cap)?;
        let scores = self.masked(scores, view.mask)?;
        let weights = self.softmax(scores)?;
        let mut mixed = self.op(Op::MatMul, &[weights, value])?;
        if !single {
            mixed = self.transpose(mixed, &[2, 0, 1, 3])?;
        }
        self.reshape(mixed, &[view.sequence.clone(), dim(heads.query * heads.size)])
    }

    /// `[kv heads, ..]` as `[kv heads, 1, ..]`.
    fn with_group(&mut self, x: Value) -> Built {
        let mut dims = self.dims(x);
        dims.insert(1.min(dims.len()), 1.into());
        self.reshape(x, &dims)
    }

    fn masked(&mut self, scores: Value, mask: Option<Value>) -> Built {
        let Some(mask) = mask else { return Ok(scores) };
        let dims = self.dims(mask);
        let hidden = self.graph.scalar(DType::F32, HIDDEN_SCORE)?;
        let hidden = self.reshape(hidden, &vec![1.into(); dims.len()])?;
        self.op(Op::Where, &[mask, scores, hidden])
    }

    /// Which of the tokens in the cache and of the run each token of the run sees: those up to itself, of these the last `window`
    /// if given; bool `[1, 1, sequence, past + sequence]`. `None` where it sees all.
    pub(in crate::models) fn causal_mask(
        &mut self,
        past: &Dim,
        sequence: &Dim,
        window: Option<usize>,
    ) -> Result<Option<Value>, TypeError> {
        let own = [1.into(), 1.into(), sequence.clone(), 1.into()];
        let others = [1.into(), 1.into(), 1.into(), past.clone() + sequence.clone()];
        let (row, offset) = (self.iota(&own, 2)?, self.dim_value(past, 4)?);
        let (position, other) = (self.sum(row, offset)?, self.iota(&others, 3)?);
        let before = if sequence.is(1) { None } else { Some(self.op(Op::LessEqual, &[other, position])?) };
        let Some(window) = window else { return Ok(before) };
        let end = self.with(Op::Add, other, window as f64)?;
        let near = self.op(Op::Less, &[position, end])?;
        Ok(Some(before.map_or(Ok(near), |before| self.op(Op::And, &[before, near]))?))
    }
}
