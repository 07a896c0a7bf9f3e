//! Tests on small models made in memory.

mod fuzz;
mod model;
mod models;
mod numerics;
mod refusals;
mod shapes;
