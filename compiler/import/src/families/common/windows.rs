//! Caches of sliding-window layers: they hold the last tokens only, and are slid when there is no room for more.

use super::architecture::Decoder;
use super::builder::dim;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::{Class, Op};

/// The symbol that is the number of tokens in these caches before a run.
pub(super) const RECENT: &str = "recent";

/// The caches of layers with windows, where these hold less than the context.
pub(super) struct Windows {
    /// The maximum number of tokens that a sliding-window layer attends to, the token's own included.
    pub(super) window: usize,
    /// The tokens that there is room for.
    pub(super) room: usize,
    /// The tokens that the caches hold before a run.
    pub(super) recent: Symbol,
}

impl Windows {
    /// Room for the window before a run of `chunk` tokens, and for another window, so that sliding is rare. `None` if the context
    /// needs no more than that.
    pub(super) fn new(decoder: &Decoder, context: usize, chunk: usize) -> Option<Self> {
        let window = decoder.layers.iter().filter_map(|layer| layer.window).filter(|window| *window < context).max()?;
        let room = window.checked_mul(2)?.checked_add(chunk)?;
        let largest = i64::try_from(room).ok()?;
        (room < context).then(|| Self { window, room, recent: Symbol::new(RECENT, 0, largest) })
    }

    /// The graph that moves the last tokens, as many as a window has, to the front of all caches that grow at `recent` in `decode`.
    ///
    /// # Errors
    /// [`TypeError`] if a window is larger than its cache.
    pub(super) fn slide(&self, decode: &Graph) -> Result<Graph, TypeError> {
        let mut graph = Graph::new("slide");
        for value in decode.topological().into_iter().filter(|value| decode.op(*value).def().class == Class::Update) {
            let starts = decode.node(value).attrs.dims("starts");
            let axis = starts.iter().position(|start| start.mentions(&self.recent));
            if let Some(axis) = axis {
                self.slide_state(&mut graph, decode, value, axis)?;
            }
        }
        Ok(graph)
    }

    /// Slides what is updated, along the axis along which it grows.
    fn slide_state(&self, graph: &mut Graph, decode: &Graph, update: Value, axis: usize) -> Result<(), TypeError> {
        let [state, new] = decode.operands(update).try_into().unwrap_or([update; 2]);
        let (name, ty, kept) = (decode.input_name(state), decode.ty(state), dim(self.window));
        let (mut starts, mut sizes) = (decode.node(update).attrs.dims("starts").to_vec(), decode.ty(new).dims.clone());
        let mut front = starts.clone();
        front.splice(axis..=axis, [Dim::default()]);
        starts.splice(axis..=axis, [(Dim::symbol(&self.recent) - kept.clone()).maximum(0)]);
        sizes.splice(axis..=axis, [kept]);
        let old = graph.state(name, ty)?;
        let attrs = Attrs::new().with("starts", starts).with("sizes", sizes).with("steps", vec![1; ty.rank()]);
        let last = graph.add(Op::Slice, attrs, &[old])?;
        let next = graph.add(Op::UpdateSlice, Attrs::new().with("starts", front), &[old, last])?;
        graph.output(name, next);
        Ok(())
    }
}
