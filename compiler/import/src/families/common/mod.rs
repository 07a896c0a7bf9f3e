//! What families of language models share: settings, weights, and the parts that graphs are built of.

pub mod architecture;
pub mod attention;
pub mod builder;
pub mod decoder;
pub mod decoder_weights;
pub mod encoder;
pub mod feed_forward;
pub mod language;
pub mod moe;
pub mod names;
pub mod norm;
pub mod quantize;
pub mod rope;
pub mod rope_scaling;
pub mod settings;
pub mod weights;
mod windows;
