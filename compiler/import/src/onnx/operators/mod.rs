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

use super::context::Context;
use super::item::Item;
use super::node::Node;
use super::problem::Outcome;

/// The results of a node, in order. Optional ones may be left out at the end.
type Results = Outcome<Vec<Item>>;
/// Imports one node.
type Operator = fn(&mut Context, &Node) -> Results;
/// Operator, domain (empty for the standard one), import function.
type Entry = (&'static str, &'static str, Operator);

const TOPICS: &[&[Entry]] = &[
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

/// All operators that are known.
pub(super) fn all() -> impl Iterator<Item = &'static Entry> {
    TOPICS.iter().copied().flatten()
}

/// The import function of an operator.
pub(super) fn find(name: &str, domain: &str) -> Option<Operator> {
    all().find(|entry| entry.0 == name && entry.1 == domain).map(|entry| entry.2)
}

/// The way out for an operator that is not known.
pub(super) fn hint(name: &str, domain: &str) -> String {
    if !domain.is_empty() {
        return format!("{name} belongs to the domain `{domain}`; export the model with standard operators only");
    }
    match name {
        "NonMaxSuppression" | "NonZero" | "Unique" => {
            format!("{name} is not supported; export the model without its post-processing, and do that in the program")
        }
        _ => format!("{name} is not supported; simplify the model, or express it with other operators"),
    }
}

/// A node with one result.
fn one(item: Item) -> Results {
    Ok(vec![item])
}
