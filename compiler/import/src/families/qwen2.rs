//! Qwen 2 and 2.5: Llama with biases of queries, keys and values.

use super::common::architecture::Decoder;
use super::common::names::NORMS_BEFORE;
use super::common::settings::{Key, Settings, WINDOW};
use super::{Architecture, Family};
use crate::ImportError;

/// The family.
pub(super) const FAMILY: Family = Family { name: "qwen2", gguf: &["qwen2"], folder: &["Qwen2ForCausalLM"], read };

const USES_WINDOW: Key = Key { gguf: "", folder: "use_sliding_window" };
const FIRST_WINDOW: Key = Key { gguf: "", folder: "max_window_layers" };

fn read(settings: &Settings, context: usize) -> Result<Architecture, ImportError> {
    let mut decoder = Decoder::read(settings, context, &[NORMS_BEFORE])?;
    set_windows(&mut decoder, settings)?;
    Ok(decoder.into())
}

/// Windows of the layers from a number on, if the model uses them.
pub(super) fn set_windows(decoder: &mut Decoder, settings: &Settings) -> Result<(), ImportError> {
    if settings.find(USES_WINDOW)?.unwrap_or(false) {
        let first: usize = settings.find(FIRST_WINDOW)?.unwrap_or(0);
        decoder.set_windows(settings.find(WINDOW)?, |layer| layer >= first);
    }
    Ok(())
}
