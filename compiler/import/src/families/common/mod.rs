//! What families of language models share: settings, weights, and the parts that graphs are built of.

pub(super) mod architecture;
pub(super) mod attention;
pub(super) mod builder;
pub(super) mod decoder;
pub(super) mod decoder_weights;
pub(super) mod encoder;
pub(super) mod feed_forward;
pub(super) mod language;
pub(super) mod moe;
pub(super) mod names;
pub(super) mod norm;
pub(super) mod quantize;
pub(super) mod rope;
pub(super) mod rope_scaling;
pub(super) mod settings;
pub(super) mod weights;
mod windows;
