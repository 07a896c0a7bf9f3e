//! The messages of `plan.proto` and `language_model.proto`.

#![allow(clippy::doc_markdown, clippy::derive_partial_eq_without_eq)]

include!(concat!(env!("OUT_DIR"), "/lostwax.format.rs"));
