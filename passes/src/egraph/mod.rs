//! Rewriting in an e-graph: many equal forms of a graph are held at once, and the cheapest is taken.
//!
//! [`convert`] brings a graph in and out, [`rewrite`] applies the rules of [`crate::rules`], [`analysis`] knows type and
//! constness of every class, [`kernels`] fuses nodes into kernels, [`cost`] prices these and [`extract`] chooses.

pub mod analysis;
pub mod convert;
pub mod cost;
pub mod extract;
pub mod kernels;
pub mod language;
pub mod pattern;
pub mod rewrite;
pub mod site;
pub mod sizes;
