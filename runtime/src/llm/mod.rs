//! Language models: from text to tokens, from a compiled decoder to text.
//!
//! ```no_run
//! use lostwax_runtime::llm::{DecoderOptions, Generator, Language, Request, open_decoder};
//! use lostwax_runtime::{Device, Model};
//! use std::ops::ControlFlow;
//!
//! # #[cfg(feature = "cpu")]
//! # fn example() -> Result<(), lostwax_runtime::RuntimeError> {
//! let model = Model::open("model.lwx")?;
//! let language = Language::open(&model)?;
//! let mut generator = Generator::new(open_decoder(&model, DecoderOptions::new(Device::cpu()))?);
//! let prompt = language.encode_prompt("Once upon a time")?;
//! generator.generate(&language, &Request::new(&language, &prompt), &mut |text| {
//!     print!("{text}");
//!     ControlFlow::Continue(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Language`]: what an artifact says about text: [`Tokenizer`], [`ChatTemplate`], special tokens, defaults; and whether they
//!   give what they gave when the model was compiled.
//! - [`Decoder`]: a compiled decoder; [`open_decoder`] makes one of an artifact, [`open_decoders`] some that run together.
//! - [`Sampler`]: chooses a token; the same seed gives the same token on every machine.
//! - [`Generator`]: the loop; keeps track of the KV cache, so that a prompt that continues the last one is cheap.
//!   [`Generator::save`] keeps it for another process.
//! - [`Generation`]: the same loop a step at a time, for programs that generate several texts at once.
//! - [`Embedder`]: a compiled encoder, from a text to a vector.
//! - [`Perplexity`]: the perplexity of a text.

mod batch;
mod cache_position;
mod date;
mod decoder;
mod embed;
mod generate;
mod generation;
mod json;
mod language;
mod perplexity;
mod sampler;
mod samples;
mod saved;
mod stop;
mod stream;
mod template;
mod tokenizer;

pub use batch::{batch_size, open_decoders};
pub use cache_position::{CachePosition, RECENT};
pub use decoder::{Decoder, DecoderOptions, Visit, is_decoder, open_decoder};
pub use embed::{Embedder, cosine_similarity};
pub use generate::{FinishReason, Generated, Generator, Request, Timings};
pub use generation::{Generation, StepOutput};
pub use language::Language;
pub use perplexity::Perplexity;
pub use sampler::{Sampler, Sampling};
pub use samples::Difference;
pub use saved::Cache;
pub use stop::StopFilter;
pub use stream::TextStream;
pub use template::{ChatTemplate, Message};
pub use tokenizer::Tokenizer;
