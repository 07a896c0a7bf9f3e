//! Rewriting in an e-graph: many equal graphs are held at once, and the cheapest is taken.
//!
//! [`convert`] brings a graph in and out, [`rewrite`] applies [`rule`]s, whose conditions and attributes are made from [`guards`]
//! and [`functions`], [`analysis`] knows type and constness of every class, [`kernels`] fuses nodes into kernels, [`prices`] says
//! what these cost and [`extract`] chooses.

pub mod analysis;
pub mod convert;
pub mod extract;
pub mod functions;
pub mod guards;
pub mod kernels;
pub mod language;
pub mod pattern;
pub mod prices;
pub mod rewrite;
pub mod rule;
pub mod site;
pub mod sizes;
