//! Decoded factors that stay mostly the same for many steps along the depth.

use super::roles::{cone, cut};
use lostwax_ir::compute::{Axis, Body, Step, StepId};
use lostwax_ir::scalar::BinaryOp;

/// A factor as `scale * quant + offset`, where only the quant differs between the steps of a group along the depth. So a sum of
/// products with it is `scale` times that with the quants, and `offset` times that of the other factor alone.
pub(super) struct Affine {
    pub(super) scale: Body,
    pub(super) quant: Body,
    /// Terms of the offset, and whether they are subtracted.
    pub(super) offsets: Vec<(Body, bool)>,
}

impl Affine {
    /// The factor as scale, quant and shift for groups of this many steps, if it is such an expression.
    pub(super) fn new(body: &Body, depth: &Axis, group: i64) -> Option<Self> {
        let varies = varying(body, depth, group);
        let fixed = |id: StepId| varies.get(id.0 as usize) == Some(&false);
        let (mut result, mut offsets) = (body.result()?, Vec::new());
        loop {
            let (next, term, negated) = match body.steps.get(result.0 as usize)? {
                Step::Binary(BinaryOp::Add, x, term) if fixed(*term) => (*x, *term, false),
                Step::Binary(BinaryOp::Add, term, x) if fixed(*term) => (*x, *term, false),
                Step::Binary(BinaryOp::Sub, x, term) if fixed(*term) => (*x, *term, true),
                Step::Binary(BinaryOp::Mul, scale, quant) if fixed(*scale) && !fixed(*quant) => {
                    let (scale, quant) = (cone(&body.steps, *scale), cone(&body.steps, *quant));
                    return Some(Self { scale, quant, offsets });
                }
                _ => return None,
            };
            offsets.push((cone(&body.steps, term), negated));
            result = next;
        }
    }
}

/// Which steps differ within a group.
fn varying(body: &Body, depth: &Axis, group: i64) -> Vec<bool> {
    let (_, inner, at) = cut(depth, group);
    let mut varies: Vec<bool> = Vec::with_capacity(body.steps.len());
    for step in &body.steps {
        let own = step.dims().into_iter().any(|dim| dim.replace(&depth.symbol, &at).mentions(&inner.symbol));
        let inherited = step.operands().iter().any(|id| varies.get(id.0 as usize).copied().unwrap_or(true));
        varies.push(own || inherited);
    }
    varies
}
