//! Attention (Vaswani et al., "Attention Is All You Need", 2017), where groups of query heads may share keys and values (Ainslie
//! et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints", 2023).

use super::builder::{Builder, Built, dim};
use super::norm::Norm;
use super::rope::Rotation;
use super::weights::Linear;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;
use lostwax_ir::types::{DType, TensorType};

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
    /// The number of tokens that the cache has room for.
    pub(in crate::models) room: usize,
    /// The number of tokens of the run.
    pub(in crate::models) sequence: Dim,
    /// How heads are turned.
    pub(in crate::models) rotation: Option<Rotation>,
    /// Which tokens each sees.
    pub(in crate::models) sees: Sees,
}

/// Which tokens a token sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Sees {
    /// All of them.
    All,
    /// Itself and those before, of these the last so many if given.
    Before(Option<usize>),
}

/// The cache of one layer.
pub(in crate::models) struct Cache {
    /// The number of the layer.
    pub(in crate::models) layer: usize,
    /// The element type; i8 for bytes with scales.
    pub(in crate::models) dtype: DType,
}

/// The sum of the two axes of a cache that are not heads: tokens and the elements of a head.
const CACHED_AXES: usize = 1 + 2;

/// Elements of one token's row in a cache; where tokens lie next to each other, rows take an odd number of cache lines, as those
/// of neighbouring rows would else fall on each other.
fn row_length(tokens: usize, tokens_are_neighbours: bool) -> usize {
    const LINE: usize = 16;
    if tokens_are_neighbours { (tokens.div_ceil(LINE) | 1) * LINE } else { tokens }
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
            None => (key, value),
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

    /// Appends to a state whose tokens lie along `axis`, and gives all that it holds as f32. A cache of bytes has a second state, the
    /// scale of each token's part of a head.
    fn cached(&mut self, new: Value, name: &str, axis: usize, view: &View, cache: &Cache) -> Built {
        let state = format!("{name}.{}", cache.layer);
        if cache.dtype != DType::I8 {
            let new = self.cast(new, cache.dtype)?;
            return self.appended(new, &state, axis, view);
        }
        let (bytes, scales) = self.quantized(new, CACHED_AXES - axis)?;
        let bytes = self.appended(bytes, &state, axis, view)?;
        let scales = self.appended(scales, &format!("{state}.scales"), axis, view)?;
        self.product(bytes, scales)
    }

    /// Appends to one state.
    fn appended(&mut self, new: Value, name: &str, axis: usize, view: &View) -> Built {
        let mut dims = self.dims(new);
        let (rank, dtype) = (dims.len(), self.graph.ty(new).dtype);
        let (mut starts, mut held) = (vec![Dim::default(); rank], dims.clone());
        if let (Some(size), Some(start), Some(count)) = (dims.get_mut(axis), starts.get_mut(axis), held.get_mut(axis)) {
            *count = view.past.clone() + view.sequence.clone();
            (*size, *start) = (dim(row_length(view.room, axis + 1 == rank)), view.past.clone());
        }
        let state = self.graph.state(name, &TensorType { dtype, dims })?;
        let next = self.graph.add(Op::UpdateSlice, Attrs::new().with("starts", starts), &[state, new])?;
        self.graph.output(name, next);
        let all = self.slice(next, &vec![Dim::default(); held.len()], &held)?;
        self.cast(all, DType::F32)
    }

    /// `softmax(query * key) * value` for queries `[sequence, heads, size]`, keys `[kv heads, size, tokens]` and values
    /// `[kv heads, tokens, size]`, as `[sequence, heads * size]`.
    fn attend(&mut self, query: Value, key: Value, value: Value, heads: &Heads, view: &View) -> Built {
        let (past, window) = match view.sees {
            Sees::All => (Vec::new(), None),
            Sees::Before(window) => (vec![view.past.clone()], window),
        };
        let window = window.map_or(0, |window| i64::try_from(window).unwrap_or(i64::MAX));
        let attrs = Attrs::new().with("scale", heads.scale).with("cap", heads.cap.unwrap_or(0.0));
        let attrs = attrs.with("past", past).with("window", window);
        let mixed = self.graph.add(Op::Attention, attrs, &[query, key, value])?;
        self.reshape(mixed, &[view.sequence.clone(), dim(heads.query * heads.size)])
    }
}
