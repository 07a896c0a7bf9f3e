//! Gemma 3 (Gemma Team, "Gemma 3 Technical Report", 2025): Gemma 2 with norms of queries and keys instead of bounds, windows in
//! five of six layers, and rotary positions of their own in these.

use super::common::architecture::LayerKind;
use super::common::names::HEAD_NORMS;
use super::common::rope::Rope;
use super::common::rope_scaling::RopeReader;
use super::common::settings::{Key, Settings, WINDOW};
use super::gemma2::{NORMS, read_common};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "gemma3", gguf: &["gemma3"], folder: &["Gemma3ForCausalLM"], read };

const PATTERN: Key = Key { gguf: "attention.sliding_window_pattern", folder: "sliding_window_pattern" };
const LOCAL_BASE: Key = Key { gguf: "rope.freq_base_swa", folder: "rope_local_base_freq" };
const TYPES: Key = Key { gguf: "", folder: "layer_types" };

/// The base of layers with windows where the model names none, and of others.
const DEFAULT_LOCAL_BASE: f64 = 10000.0;

/// Layers up to the next one without a window.
const DEFAULT_PATTERN: usize = 6;

/// The layers of 27B; see Gemma 2.
const LARGEST: usize = 62;

/// What folders call layers without and with windows.
const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = read_common(settings, context, &[NORMS, HEAD_NORMS], LARGEST)?;
    let reader = RopeReader::new(settings, context)?;
    let (global, local) = (reader.of_layers(GLOBAL), reader.of_layers(LOCAL));
    let size = decoder.heads.size;
    let base = if reader.has_layers() { local.base()? } else { settings.find(LOCAL_BASE)?.unwrap_or(DEFAULT_LOCAL_BASE) };
    decoder.ropes = vec![global.with_base(global.base()?, size)?, Rope::new(base, size)];
    let window = settings.find(WINDOW)?;
    let is_local = local_layers(settings, decoder.layers.len())?;
    for (layer, local) in decoder.layers.iter_mut().zip(is_local) {
        let local = local && window.is_some();
        *layer = LayerKind { window: window.filter(|_| local), rope: usize::from(local) };
    }
    Ok(decoder.into())
}

/// Which layers have windows.
fn local_layers(settings: &Settings, count: usize) -> Result<Vec<bool>, ImportError> {
    if let Some(types) = settings.texts(TYPES)? {
        return Ok(types.iter().map(|kind| *kind == LOCAL).collect());
    }
    let pattern = settings.find(PATTERN)?.unwrap_or(DEFAULT_PATTERN).max(1);
    Ok((0..count).map(|layer| layer % pattern + 1 != pattern).collect())
}
