//! Control flow that is decided at import.

use super::{Context, Entry, Node, Results};
use crate::import::onnx::problem::unsupported;

pub(super) const OPERATORS: &[Entry] = &[("If", "", branch)];

fn branch(cx: &mut Context, node: &Node) -> Results {
    match node.input(0)?.integers().as_deref() {
        Some([0]) => cx.inline(node.graph("else_branch")?),
        Some([_]) => cx.inline(node.graph("then_branch")?),
        _ => unsupported("If with a condition that depends on the data is not supported; export the model without it"),
    }
}
