//! The entry points of decoders.

use super::architecture::{Decoder, LayerKind};
use super::attention::{AttentionMask, Cache, Text, View};
use super::builder::{Builder, Built, dim};
use super::decoder_weights::{DecoderWeights, LayerWeights};
use super::windows::{RECENT, Windows};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::types::{DType, TensorType};

/// The maximum number of tokens that one run appends.
const CHUNK: usize = 512;

/// An entry point: how many tokens it takes, and whether it gives the logits of all of them or of the last.
struct Entry {
    name: &'static str,
    tokens: Tokens,
    all: bool,
}

/// The tokens of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// Some of one text.
    Many,
    /// One of one text.
    One,
    /// One of each text.
    Each,
}

const ENTRIES: [Entry; 4] = [
    Entry { name: "prefill", tokens: Tokens::Many, all: false },
    Entry { name: "decode", tokens: Tokens::One, all: false },
    Entry { name: "batch", tokens: Tokens::Each, all: true },
    Entry { name: "score", tokens: Tokens::Many, all: true },
];

/// The entry point that makes room in the caches of layers with windows.
const SLIDE: &str = "slide";

/// The cache of a decoder.
#[derive(Clone, Copy, Debug)]
pub struct CacheKind {
    /// The maximum number of tokens that it holds.
    pub context: usize,
    /// The element type; i8 for bytes with scales.
    pub dtype: DType,
    /// Whether layers with windows keep all tokens too.
    pub full_windows: bool,
    /// The number of texts; `batch` is there for more than one.
    pub slots: usize,
}

/// What a decoder consists of.
pub struct Entries {
    /// The graphs by name.
    pub graphs: Vec<(String, Graph)>,
    /// The tokens that sliding leaves in the caches of layers with windows; `None` if these hold the context.
    pub window: Option<usize>,
}

/// The graphs of a decoder: `prefill` and `score` of `tokens: i32[sequence]`, `decode` of `tokens: i32[1]`. The symbol `past` is
/// the number of tokens in the cache, whose states are `keys.N: [kv heads, size, context]` and `values.N: [kv heads, context,
/// size]`. Where layers with windows keep the last tokens only, the symbol `recent` is the number of tokens that they have, and
/// `slide` makes room for more. A cache of several texts has the heads of one after those of the other, and `slot` is the text; `batch` of
/// `tokens: i32[slots]` appends a token to each of them, whose numbers of tokens are `past_0`, `recent_0` and so on. The output `logits: f32[n, vocabulary]` is that of the last token, that of `score` of all tokens.
///
/// # Errors
/// [`TypeError`] when settings and weights do not fit each other.
pub fn entries(decoder: &Decoder, weights: &DecoderWeights, cache: CacheKind, activations: DType) -> Result<Entries, TypeError> {
    let windows = Windows::new(decoder, cache.context, CHUNK).filter(|_| !cache.full_windows);
    let mut graphs = Vec::new();
    for entry in ENTRIES.iter().filter(|entry| entry.tokens != Tokens::Each || cache.slots > 1) {
        let run = Run { decoder, weights, cache, windows: windows.as_ref(), texts: texts(entry.tokens, cache, windows.as_ref()) };
        graphs.push((entry.name.to_string(), run.graph(Builder::new(entry.name, activations), entry)?));
    }
    if let (Some(windows), Some((_, graph))) = (&windows, graphs.last()) {
        graphs.push((SLIDE.to_string(), windows.slide(graph)?));
    }
    Ok(Entries { graphs, window: windows.map(|windows| windows.window) })
}

/// A text of a run.
struct Span {
    /// The tokens in the cache.
    past: Dim,
    /// The tokens in the caches of layers with windows.
    recent: Dim,
    /// The tokens of the run.
    sequence: Dim,
    /// Its part of the cache.
    slot: Option<Dim>,
}

fn texts(tokens: Tokens, cache: CacheKind, windows: Option<&Windows>) -> Vec<Span> {
    let symbol = |name: &str, low: i64, high: usize| Dim::symbol(&Symbol::new(name, low, limit(high)));
    let span = |end: &str, sequence: Dim, slot: Option<Dim>| Span {
        past: symbol(&format!("past{end}"), 0, cache.context - 1),
        recent: windows.map_or_else(Dim::default, |windows| symbol(&format!("{RECENT}{end}"), 0, windows.room)),
        sequence,
        slot,
    };
    let slot = (cache.slots > 1).then(|| symbol("slot", 0, cache.slots - 1));
    match tokens {
        Tokens::Many => vec![span("", symbol("sequence", 1, CHUNK.min(cache.context)), slot)],
        Tokens::One => vec![span("", symbol("sequence", 1, 1), slot)],
        Tokens::Each => (0..cache.slots).map(|slot| span(&format!("_{slot}"), 1.into(), Some(dim(slot)))).collect(),
    }
}

fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl Span {
    /// The text as a layer sees it.
    fn seen(&self, has_window: bool) -> Text {
        let past = if has_window { &self.recent } else { &self.past };
        Text { past: past.clone(), sequence: self.sequence.clone(), slot: self.slot.clone() }
    }
}

/// One run.
struct Run<'a> {
    decoder: &'a Decoder,
    weights: &'a DecoderWeights,
    cache: CacheKind,
    windows: Option<&'a Windows>,
    texts: Vec<Span>,
}

impl Run<'_> {
    fn graph(&self, mut builder: Builder, entry: &Entry) -> Result<Graph, TypeError> {
        let logits = self.logits(&mut builder, entry)?;
        builder.graph.output("logits", logits);
        Ok(builder.graph)
    }

    fn logits(&self, b: &mut Builder, entry: &Entry) -> Built {
        let count = self.texts.iter().fold(Dim::default(), |count, text| count + text.sequence.clone());
        let tokens = b.graph.input("tokens", &TensorType { dtype: DType::I32, dims: vec![count.clone()] })?;
        let table = b.matrix(&self.weights.embedding)?;
        let embedded = b.gather(table, tokens)?;
        let mut x = b.scaled(embedded, self.decoder.embedding_scale)?;
        let views = self.views(b)?;
        for (number, (layer, view)) in self.weights.layers.iter().zip(&views).enumerate() {
            x = self.layer(b, x, number, layer, view)?;
        }
        if !entry.all {
            x = b.slice_along(x, 0, &(count - 1.into()), &1.into())?;
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
        let positions: Vec<(Dim, Dim)> = self.texts.iter().map(|text| (text.past.clone(), text.sequence.clone())).collect();
        let rotations = self.weights.tables.iter().map(|tables| b.rotation(tables, &positions));
        let rotations = rotations.collect::<Result<Vec<_>, _>>()?;
        let view = |kind: &LayerKind| {
            let window = kind.window.filter(|window| *window < self.cache.context);
            let windows = self.windows.filter(|_| window.is_some());
            View {
                texts: self.texts.iter().map(|text| text.seen(windows.is_some())).collect(),
                rotation: rotations.get(kind.rope).copied(),
                mask: AttentionMask::Before(window),
                room: windows.map_or(self.cache.context, |windows| windows.room),
            }
        };
        Ok(self.decoder.layers.iter().map(view).collect())
    }

    fn layer(&self, b: &mut Builder, x: Value, number: usize, layer: &LayerWeights, view: &View) -> Built {
        let cache = Cache { layer: number, slots: self.cache.slots, dtype: self.cache.dtype };
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
