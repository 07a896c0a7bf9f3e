#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The intermediate representations of lostwax.
//!
//! A model is a [`graph::Graph`] of tensor operations ([`ops`]): typed nodes in SSA form whose shapes are symbolic
//! ([`dim::Dim`]). Each op lowers to a [`compute::Compute`], which says what each output element is; fusion combines
//! computes, and a schedule turns one into a [`kernel::Kernel`], the only thing a target sees.
//!
//! Graphs and kernels print and parse ([`text`]), are checked ([`verify`]) and run ([`eval`]): the interpreters are the
//! oracle for all that rewrites, schedules or compiles.

pub mod attrs;
pub mod blocks;
pub mod compute;
pub mod dim;
pub mod eval;
pub mod graph;
pub mod kernel;
pub mod number;
pub mod ops;
pub mod panels;
pub mod printable;
pub mod random;
pub mod scalar;
pub mod suggest;
pub mod tensor;
pub mod text;
pub mod types;
pub mod verify;
