#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The passes of lostwax: what happens to a tensor graph between import and code generation.
//!
//! Linear passes have one file each and one line in the list below; [`pass`] says what a pass is. Algebraic rewriting,
//! recognition of activations and the choice of layouts happen together in an e-graph ([`egraph`]), driven by rules that
//! are named data ([`rules`]).

pub mod egraph;
pub mod fuse;
pub mod pass;
pub mod plan_memory;
pub mod regions;
pub mod rules;
pub mod schedule;
#[cfg(test)]
mod testing;

pub use pass::{Changed, Context, CostTable, Limits, Pass, PassError, Tier, run_passes};

/// Lists the passes: the file, which holds a constant `PASS`.
macro_rules! passes {
    ($($module:ident,)*) => {
        $(pub mod $module;)*

        /// All passes that can be run by name.
        pub const PASSES: &[Pass] = &[$($module::PASS,)*];
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
