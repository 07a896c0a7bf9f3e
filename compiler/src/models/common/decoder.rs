//! The entry points of decoders.

use super::architecture::{Decoder, LayerKind};
use super::attention::{Cache, Sees, View};
use super::builder::{Builder, Built, dim};
use super::decoder_weights::{DecoderWeights, LayerWeights};
use super::windows::Windows;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::types::{DType, TensorType};

/// The most tokens that one run appends.
const CHUNK: usize = 512;

/// An entry point: how many tokens it takes, and whether it gives the logits of all of them or of the last.
struct Entry {
    name: &'static str,
    single: bool,
    all: bool,
}

/// The entry point that makes room in the caches of layers with windows.
const SLIDE: &str = "slide";

const ENTRIES: [Entry; 3] = [
    Entry { name: "prefill", single: false, all: false },
    Entry { name: "decode", single: true, all: false },
    Entry { name: "score", single: false, all: true },
];

/// The cache of a decoder.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct CacheKind {
    /// The most tokens that it holds.
    pub(in crate::models) context: usize,
    /// The element type; i8 for bytes with scales.
    pub(in crate::models) dtype: DType,
    /// Whether layers with windows keep all tokens too.
    pub(in crate::models) full_windows: bool,
}

/// What a decoder consists of.
pub(in crate::models) struct Entries {
    /// The graphs by name.
    pub(in crate::models) graphs: Vec<(String, Graph)>,
    /// The tokens that sliding leaves in the caches of layers with windows; `None` if these hold the context.
    pub(in crate::models) window: Option<usize>,
}

/// The graphs of a decoder: `prefill` and `score` of `tokens: i32[sequence]`, `decode` of `tokens: i32[1]`. The symbol `past` is
/// the number of tokens in the cache, whose states are `keys.N: [kv heads, size, context]` and `values.N: [kv heads, context,
/// size]`. Where layers with windows keep the last tokens only, the symbol `recent` is the number of tokens that they have, and
/// `slide` makes room for more. The output `logits: f32[n, vocabulary]` is that of the last token, that of `score` of all tokens.
///
/// # Errors
/// [`TypeError`] when settings and weights do not fit each other.
pub(in crate::models) fn entries(
    decoder: &Decoder,
    weights: &DecoderWeights,
    cache: CacheKind,
    activations: DType,
) -> Result<Entries, TypeError> {
    let windows = Windows::new(decoder, cache.context, CHUNK).filter(|_| !cache.full_windows);
    let past = Dim::symbol(&Symbol::new("past", 0, limit(cache.context) - 1));
    let mut graphs = Vec::new();
    for entry in &ENTRIES {
        let sequence = Dim::symbol(&Symbol::new("sequence", 1, limit(if entry.single { 1 } else { CHUNK.min(cache.context) })));
        let run = Run { decoder, weights, cache, windows: windows.as_ref(), past: past.clone(), sequence };
        graphs.push((entry.name.to_string(), run.graph(Builder::new(entry.name, activations), entry)?));
    }
    if let (Some(windows), Some((_, graph))) = (&windows, graphs.last()) {
        graphs.push((SLIDE.to_string(), windows.slide(graph)?));
    }
    Ok(Entries { graphs, window: windows.map(|windows| windows.window) })
}

fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// One run.
struct Run<'a> {
    decoder: &'a Decoder,
    weights: &'a DecoderWeights,
    cache: CacheKind,
    windows: Option<&'a Windows>,
    past: Dim,
    sequence: Dim,
}

impl Run<'_> {
    fn graph(&self, mut builder: Builder, entry: &Entry) -> Result<Graph, TypeError> {
        let logits = self.logits(&mut builder, entry)?;
        builder.graph.output("logits", logits);
        Ok(builder.graph)
    }

    fn logits(&self, b: &mut Builder, entry: &Entry) -> Built {
        let tokens = b.graph.input("tokens", &TensorType { dtype: DType::I32, dims: vec![self.sequence.clone()] })?;
        let table = b.matrix(&self.weights.embedding)?;
        let embedded = b.gather(table, tokens)?;
        let mut x = b.scaled(embedded, self.decoder.embedding_scale)?;
        let views = self.views(b)?;
        for (number, (layer, view)) in self.weights.layers.iter().zip(&views).enumerate() {
            x = self.layer(b, x, number, layer, view)?;
        }
        if !entry.all {
            x = b.slice(x, &[self.sequence.clone() - 1.into(), 0.into()], &[1.into(), dim(self.decoder.hidden)])?;
        }
        self.head(b, x)
    }

    fn head(&self, b: &mut Builder, x: Value) -> Built {
        let x = b.maybe_norm(x, self.weights.norm.as_ref())?;
        let logits = match &self.weights.head {
            Some(head) => b.linear(x, head)?,
            None => b.matmul_transposed(x, &self.weights.embedding)?,
        };
        b.capped(logits, self.decoder.logit_cap)
    }

    /// What tokens see, by layer. Layers of one kind share rotations.
    fn views(&self, b: &mut Builder) -> Result<Vec<View>, TypeError> {
        let mut rotations = Vec::new();
        for tables in &self.weights.tables {
            rotations.push(b.rotation(tables, &self.past, &self.sequence)?);
        }
        let view = |kind: &LayerKind| {
            let window = kind.window.filter(|window| *window < self.cache.context);
            let (past, room) = match self.windows.filter(|_| window.is_some()) {
                Some(windows) => (Dim::symbol(&windows.recent), windows.room),
                None => (self.past.clone(), self.cache.context),
            };
            View {
                past,
                room,
                sequence: self.sequence.clone(),
                rotation: rotations.get(kind.rope).copied(),
                sees: Sees::Before(window),
            }
        };
        Ok(self.decoder.layers.iter().map(view).collect())
    }

    fn layer(&self, b: &mut Builder, x: Value, number: usize, layer: &LayerWeights, view: &View) -> Built {
        let cache = Cache { layer: number, dtype: self.cache.dtype };
        let normed = b.maybe_norm(x, layer.before_attention.as_ref())?;
        let mixed = b.attention(normed, &layer.attention, &self.decoder.heads, view, Some(&cache))?;
        let mixed = b.maybe_norm(mixed, layer.after_attention.as_ref())?;
        let x = b.sum(x, mixed)?;
        let read = if self.decoder.parallel { normed } else { b.maybe_norm(x, layer.before_feed_forward.as_ref())? };
        let fed = b.feed_forward(read, &layer.feed_forward, self.decoder.activation)?;
        let fed = b.maybe_norm(fed, layer.after_feed_forward.as_ref())?;
        b.sum(x, fed)
    }
}
