//! The operators: one function and one line each, in files by topic.

mod activation;
mod attention;
mod blend;
mod control;
mod conv;
mod einsum;
mod elementwise;
mod fold;
mod fused;
mod generate;
mod grid;
mod index;
mod logic;
mod loss;
mod matmul;
mod movement;
mod normalization;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod scatter;
mod search;
mod shape;
mod signal;
mod trigonometry;
mod window;

use super::importer::Importer;
use super::node::Node;
use super::operand::Operand;
use super::operator::{Operator, Results};

const TOPICS: &[&[Operator]] = &[
    activation::OPERATORS,
    attention::OPERATORS,
    control::OPERATORS,
    conv::OPERATORS,
    einsum::OPERATORS,
    elementwise::OPERATORS,
    fold::OPERATORS,
    fused::OPERATORS,
    generate::OPERATORS,
    grid::OPERATORS,
    index::OPERATORS,
    logic::OPERATORS,
    loss::OPERATORS,
    matmul::OPERATORS,
    movement::OPERATORS,
    normalization::OPERATORS,
    pool::OPERATORS,
    quantize::OPERATORS,
    recurrent::OPERATORS,
    reduce::OPERATORS,
    resize::OPERATORS,
    scatter::OPERATORS,
    search::OPERATORS,
    shape::OPERATORS,
    signal::OPERATORS,
    trigonometry::OPERATORS,
];

/// The operators that lostwax ships.
pub(super) fn all() -> impl Iterator<Item = &'static Operator> {
    TOPICS.iter().copied().flatten()
}

/// A node with one result.
fn one(operand: Operand) -> Results {
    Ok(vec![operand])
}
