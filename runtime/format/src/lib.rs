#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The lostwax artifact.
//!
//! An artifact is a safetensors file. Weights are tensors under their own names, one contiguous region in the order of
//! [`Plan::weights`]. Everything else is a `U8` tensor whose name starts with [`PREFIX`]:
//!
//! | name | contents | starts at a multiple of |
//! |---|---|---|
//! | `__lostwax__/code/...` | code of a variant, for the device that the variant names | 4096 |
//! | `__lostwax__/plan` | a [`Plan`] message | 64 |
//! | `__lostwax__/certificate` | a [`Certificate`] message, if any | 64 |
//! | `__lostwax__/language_model` | a [`LanguageModel`] message, if the model is one | 64 |
//! | `__lostwax__/tokenizer.json` | the tokenizer of a language model, in the format of the `tokenizers` library | 64 |
//! | `__lostwax__/pad/...` | zeros | |
//! | `__lostwax__/index` | an [`Index`] message and the SHA-256 of that message; the last tensor | 64 |
//!
//! - [`Writer`] makes an artifact; the same input gives the same bytes.
//! - [`Artifact::parse`] checks one and locates its sections. It copies only the plan.
//! - [`Exprs`] builds the table of expressions in a plan.
//! - [`ElementType`] describes the element types.
//!
//! A reader checks [`Index::format_version`] and [`Index::features`] before anything else that a version may change, so a file
//! that is too new is refused as [`FormatError::Incompatible`] and not as damaged.

mod artifact;
mod dtype;
mod error;
mod exprs;
mod hash;
mod header;
mod language;
#[rustfmt::skip]
#[allow(clippy::doc_markdown, clippy::derive_partial_eq_without_eq)]
mod messages;
mod placement;
mod validate;
mod writer;

pub use artifact::Artifact;
pub use dtype::{ELEMENT_TYPES, ElementType};
pub use error::FormatError;
pub use exprs::{ExprError, Exprs};
pub use hash::{Hash, HashingWriter, hash};
pub use messages::*;
pub use writer::{WeightData, Writer, Written};

/// The prefix of the names of all tensors that are not weights.
pub const PREFIX: &str = "__lostwax__/";

/// The format version that [`Writer`] writes.
pub const FORMAT_VERSION: u32 = 1;

/// The oldest format version that [`Artifact::parse`] reads.
pub const OLDEST_FORMAT_VERSION: u32 = 1;

/// The features that [`Artifact::parse`] knows.
pub const FEATURES: &[&str] = &[PLACEMENT, OS];

/// The feature of files with [`Variant::fallback_steps`].
const PLACEMENT: &str = "placement";

/// The feature of files with a [`Variant::os`] other than Linux, the only one of readers that do not know the field.
const OS: &str = "os";

/// The largest message that is read, in bytes: plan, index, certificate or language model.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// The largest tokenizer that is read, in bytes.
pub const MAX_TOKENIZER_BYTES: usize = 256 << 20;

/// The largest safetensors header that is read, in bytes; the limit that other readers have too.
pub const MAX_HEADER_BYTES: usize = 100_000_000;

/// Weights start at multiples of this in the file.
pub const WEIGHT_ALIGNMENT: u64 = 64;

/// Code starts at multiples of this in the file.
pub const CODE_ALIGNMENT: u64 = 4096;

pub(crate) const INDEX: &str = "__lostwax__/index";
pub(crate) const PLAN: &str = "__lostwax__/plan";
pub(crate) const CERTIFICATE: &str = "__lostwax__/certificate";
pub(crate) const LANGUAGE_MODEL: &str = "__lostwax__/language_model";
pub(crate) const TOKENIZER: &str = "__lostwax__/tokenizer.json";
pub(crate) const CODE: &str = "__lostwax__/code/";
pub(crate) const PADDING: &str = "__lostwax__/pad/";
