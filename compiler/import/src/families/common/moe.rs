//! Mixtures of experts (Jiang et al., "Mixtral of Experts", 2024; shared experts after Qwen2-MoE): a router chooses some networks
//! for each token. All networks are evaluated; those that are not chosen weigh 0.

use super::builder::{Builder, Built};
use super::feed_forward::Gated;
use super::weights::{Linear, Matrix};
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;

/// The weights of one layer's experts.
pub struct Experts {
    /// The router.
    pub router: Linear,
    /// The gates, `[experts, width, hidden]`.
    pub gate: Matrix,
    /// What is gated, `[experts, width, hidden]`.
    pub up: Matrix,
    /// What brings both back, `[experts, hidden, width]`.
    pub down: Matrix,
    /// How many are chosen.
    pub used: usize,
    /// Whether the weights of those that are chosen are made to sum up to 1.
    pub normalize: bool,
    /// The network of all tokens, and the projection to the number that gates it.
    pub shared: Option<(Gated, Linear)>,
}

impl Builder {
    /// The experts' network of `x[sequence, hidden]`.
    pub fn experts(&mut self, x: Value, experts: &Experts, activation: Op) -> Built {
        let scores = self.linear(x, &experts.router)?;
        let weights = self.expert_weights(scores, experts)?;
        let mut dims = self.dims(x);
        dims.insert(0, 1.into());
        let wide = self.reshape(x, &dims)?;
        let gate = self.matmul_transposed(wide, &experts.gate)?;
        let gate = self.op(activation, &[gate])?;
        let up = self.matmul_transposed(wide, &experts.up)?;
        let product = self.product(gate, up)?;
        let each = self.matmul_transposed(product, &experts.down)?;
        let weighted = self.product(each, weights)?;
        let total = self.reduce(Op::ReduceSum, weighted, 0)?;
        let dims = self.dims(x);
        let total = self.reshape(total, &dims)?;
        self.with_shared(x, total, experts, activation)
    }

    /// The weights of experts `[experts, sequence, 1]` by their scores `[sequence, experts]`.
    fn expert_weights(&mut self, scores: Value, experts: &Experts) -> Built {
        let shares = self.softmax(scores)?;
        let chosen = self.largest(shares, experts.used)?;
        let zero = self.with(Op::Mul, shares, 0.0)?;
        let mut weights = self.op(Op::Where, &[chosen, shares, zero])?;
        if experts.normalize {
            let total = self.reduce(Op::ReduceSum, weights, 1)?;
            weights = self.op(Op::Div, &[weights, total])?;
        }
        let by_expert = self.transpose(weights, &[1, 0])?;
        let mut dims = self.dims(by_expert);
        dims.push(1.into());
        self.reshape(by_expert, &dims)
    }

    /// Whether an element is one of the `count` largest of its row; of equal ones, the first count.
    fn largest(&mut self, shares: Value, count: usize) -> Built {
        let dims = self.dims(shares);
        let (column, mut rest) = (self.iota(&dims, 1)?, shares);
        let mut chosen = self.op(Op::Less, &[column, column])?;
        for _ in 0..count {
            let next = self.first_largest(rest, column)?;
            chosen = self.op(Op::Or, &[chosen, next])?;
            let lowest = self.with(Op::Sub, shares, 2.0)?;
            rest = self.op(Op::Where, &[next, lowest, rest])?;
        }
        Ok(chosen)
    }

    /// Whether an element is the first of the largest of its row.
    fn first_largest(&mut self, x: Value, column: Value) -> Built {
        let top = self.reduce(Op::ReduceMax, x, 1)?;
        let is_top = self.op(Op::Equal, &[x, top])?;
        let none = self.with(Op::Add, column, f64::from(i32::MAX / 2))?;
        let place = self.op(Op::Where, &[is_top, column, none])?;
        let first = self.reduce(Op::ReduceMin, place, 1)?;
        self.op(Op::Equal, &[column, first])
    }

    /// Adds the network of all tokens.
    fn with_shared(&mut self, x: Value, total: Value, experts: &Experts, activation: Op) -> Built {
        let Some((network, gate)) = &experts.shared else { return Ok(total) };
        let shared = self.gated(x, network, activation)?;
        let gate = self.linear(x, gate)?;
        let gate = self.op(Op::Sigmoid, &[gate])?;
        let gated = self.product(shared, gate)?;
        self.sum(total, gated)
    }
}
