#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The passes of lostwax: what happens to a tensor graph between import and code generation.
//!
//! A [`Registry`] holds what exists: passes, rule groups and the cost model; [`standard`] lists our own,
//! which is the default. Linear passes have one file each. Algebraic rewriting, recognition of activations and the choice of
//! layouts happen together in an e-graph ([`egraph`]), driven by rules that are named data ([`rules`]) and by a cost model
//! ([`cost`]). Rules of any origin are tested against the reference interpreter by [`testing`].

pub mod cost;
pub mod egraph;
pub mod error;
pub mod fuse;
pub mod operations;
pub mod pass;
pub mod plan_memory;
pub mod regions;
pub mod rules;
pub mod schedule;
pub mod size_hint;
pub mod standard;
pub mod testing;
pub mod tier;

pub use cost::{CostModel, CostTable};
pub use egraph::rule::{Phase, RuleGroup};
pub use error::PassError;
pub use pass::{Changed, Context, Limits, Pass, Registry, run_passes};
pub use tier::Tier;

/// Lists our own passes: the file, which holds a constant `PASS`.
macro_rules! passes {
    ($($module:ident,)*) => {
        $(pub mod $module;)*

        /// Our own passes, for [`standard`].
        const PASSES: &[Pass] = &[$($module::PASS,)*];
    };
}

passes! {
    canonicalize,
    merge_affine,
    fold_constants,
    share_common,
    nest_concats,
    optimize,
    remove_dead,
    split_padding,
}
