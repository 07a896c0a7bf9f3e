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

/// The weights of one layer's attention.
pub struct Attention {
    /// Queries.
    pub query: Linear,
    /// Keys.
    pub key: Linear,
    /// Values.
    pub value: Linear,
    /// What brings heads together.
    pub output: Linear,
    /// Norms of queries and keys.
    pub query_norm: Option<Norm>,
    /// See `query_norm`.
    pub key_norm: Option<Norm>,
}

/// Sizes and settings of attention.
#[derive(Clone, Debug)]
pub struct Heads {
    /// The number of query heads; a multiple of `kv`.
    pub query: usize,
    /// The number of heads of keys and values.
    pub kv: usize,
    /// The size of a head.
    pub size: usize,
    /// A factor of scores.
    pub scale: f64,
    /// The limit that scores approach.
    pub cap: Option<f64>,
    /// What the norms of queries and keys go over.
    pub norms: HeadNorms,
}

/// What the norms of queries and keys go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadNorms {
    /// Each head, with the same weights.
    Shared,
    /// Each head, with weights of its own.
    Each,
    /// All heads together.
    Joint,
}

/// Where tokens stand, and what they see.
#[derive(Clone)]
pub struct View {
    /// The texts that the tokens of the run belong to, one after the other.
    pub texts: Vec<Text>,
    /// How heads are turned.
    pub rotation: Option<Rotation>,
    /// Which tokens each attends to.
    pub mask: AttentionMask,
    /// The number of tokens that the cache has room for.
    pub room: usize,
}

/// The tokens of one text.
#[derive(Clone)]
pub struct Text {
    /// The number of tokens in the cache.
    pub past: Dim,
    /// The number of tokens of the run.
    pub sequence: Dim,
    /// Which part of the cache belongs to it; `None` if all does.
    pub slot: Option<Dim>,
}

impl Text {
    /// The first element that belongs to it of a state that holds `dims` for each text.
    fn front(&self, dims: &[Dim]) -> Vec<Dim> {
        let mut front = vec![Dim::default(); dims.len()];
        if let (Some(first), Some(heads), Some(slot)) = (front.first_mut(), dims.first(), &self.slot) {
            *first = slot.clone() * heads.clone();
        }
        front
    }
}

impl View {
    /// The texts, each with the number of tokens of those before it.
    fn parts(&self) -> impl Iterator<Item = (&Text, Dim)> {
        self.texts.iter().scan(Dim::default(), |start, text| {
            let next = start.clone() + text.sequence.clone();
            Some((text, std::mem::replace(start, next)))
        })
    }
}

/// Which tokens a token attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionMask {
    /// All of them.
    All,
    /// Itself and those before, of these the last so many if given.
    Before(Option<usize>),
}

/// The cache of one layer.
pub struct Cache {
    /// The number of the layer.
    pub layer: usize,
    /// The number of texts that it holds.
    pub slots: usize,
    /// The element type; i8 for bytes with scales.
    pub dtype: DType,
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
    pub fn attention(&mut self, x: Value, weights: &Attention, heads: &Heads, view: &View, cache: Option<&Cache>) -> Built {
        let query = self.heads(x, &weights.query, weights.query_norm.as_ref(), heads, heads.query)?;
        let key = self.heads(x, &weights.key, weights.key_norm.as_ref(), heads, heads.kv)?;
        let value = self.heads(x, &weights.value, None, heads, heads.kv)?;
        let (query, key) = (self.maybe_rotate(query, view, heads)?, self.maybe_rotate(key, view, heads)?);
        let (key, value) = (self.transpose(key, &[1, 2, 0])?, self.transpose(value, &[1, 0, 2])?);
        let (keys, values) = match cache {
            Some(cache) => (self.cached(key, "keys", 2, view, cache)?, self.cached(value, "values", 1, view, cache)?),
            None => (vec![key], vec![value]),
        };
        let mut mixed = Vec::new();
        for ((text, start), (key, value)) in view.parts().zip(keys.into_iter().zip(values)) {
            let query = self.slice_along(query, 0, &start, &text.sequence)?;
            mixed.push(self.attend(query, key, value, heads, text, view.mask)?);
        }
        let mixed = self.joined(&mixed, 0)?;
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

    /// Appends to a state whose tokens lie along `axis`, and gives all that it holds as f32, for each text. A cache of bytes has a
    /// second state, the scale of each token's part of a head.
    fn cached(&mut self, new: Value, name: &str, axis: usize, view: &View, cache: &Cache) -> Result<Vec<Value>, TypeError> {
        let state = format!("{name}.{}", cache.layer);
        if cache.dtype != DType::I8 {
            let new = self.cast(new, cache.dtype)?;
            return self.appended(new, &state, axis, view, cache.slots);
        }
        let (bytes, scales) = self.quantized(new, CACHED_AXES - axis)?;
        let bytes = self.appended(bytes, &state, axis, view, cache.slots)?;
        let scales = self.appended(scales, &format!("{state}.scales"), axis, view, cache.slots)?;
        bytes.into_iter().zip(scales).map(|(bytes, scales)| self.product(bytes, scales)).collect()
    }

    /// Appends to one state, which holds the heads of one text after those of the other.
    fn appended(&mut self, new: Value, name: &str, axis: usize, view: &View, slots: usize) -> Result<Vec<Value>, TypeError> {
        let dims = self.dims(new);
        let mut ty = TensorType { dtype: self.graph.ty(new).dtype, dims: dims.clone() };
        if let [heads, ..] = ty.dims.as_mut_slice() {
            *heads = heads.clone() * dim(slots);
        }
        ty.dims.splice(axis..=axis, [dim(row_length(view.room, axis + 1 == dims.len()))]);
        let mut next = self.graph.state(name, &ty)?;
        for (text, start) in view.parts() {
            let part = self.slice_along(new, axis, &start, &text.sequence)?;
            let mut starts = text.front(&dims);
            starts.splice(axis..=axis, [text.past.clone()]);
            next = self.graph.add(Op::UpdateSlice, Attrs::new().with("starts", starts), &[next, part])?;
        }
        self.graph.output(name, next);
        let held = |text: &Text| {
            let mut sizes = dims.clone();
            sizes.splice(axis..=axis, [text.past.clone() + text.sequence.clone()]);
            let all = self.slice(next, &text.front(&dims), &sizes)?;
            self.cast(all, DType::F32)
        };
        view.texts.iter().map(held).collect()
    }

    /// `softmax(query * key) * value` for queries `[sequence, heads, size]`, keys `[kv heads, size, tokens]` and values
    /// `[kv heads, tokens, size]`, as `[sequence, heads * size]`.
    fn attend(&mut self, query: Value, key: Value, value: Value, heads: &Heads, text: &Text, mask: AttentionMask) -> Built {
        let (past, window) = match mask {
            AttentionMask::All => (Vec::new(), None),
            AttentionMask::Before(window) => (vec![text.past.clone()], window),
        };
        let window = window.map_or(0, |window| i64::try_from(window).unwrap_or(i64::MAX));
        let attrs = Attrs::new().with("scale", heads.scale).with("cap", heads.cap.unwrap_or(0.0));
        let attrs = attrs.with("past", past).with("window", window);
        let mixed = self.graph.add(Op::Attention, attrs, &[query, key, value])?;
        self.reshape(mixed, &[text.sequence.clone(), dim(heads.query * heads.size)])
    }
}
