//! Feed-forward networks, gated ones after Shazeer, "GLU Variants Improve Transformer", 2020.

use super::builder::{Builder, Built};
use super::moe::Experts;
use super::weights::Linear;
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;

/// The weights of one layer's network.
pub(in crate::families) enum FeedForward {
    /// `down(activation(up(x)))`.
    Plain {
        /// The first projection.
        up: Linear,
        /// The second.
        down: Linear,
    },
    /// `down(activation(gate(x)) * up(x))`.
    Gated(Gated),
    /// Some of many networks.
    Experts(Box<Experts>),
}

/// The weights of a gated network.
pub(in crate::families) struct Gated {
    /// What is activated.
    pub(in crate::families) gate: Linear,
    /// What is gated.
    pub(in crate::families) up: Linear,
    /// What brings both back.
    pub(in crate::families) down: Linear,
}

impl Builder {
    /// The network of `x[sequence, hidden]`.
    pub(in crate::families) fn feed_forward(&mut self, x: Value, weights: &FeedForward, activation: Op) -> Built {
        match weights {
            FeedForward::Plain { up, down } => {
                let wide = self.linear(x, up)?;
                let active = self.op(activation, &[wide])?;
                self.linear(active, down)
            }
            FeedForward::Gated(gated) => self.gated(x, gated, activation),
            FeedForward::Experts(experts) => self.experts(x, experts, activation),
        }
    }

    /// A gated network of `x[sequence, hidden]`.
    pub(in crate::families) fn gated(&mut self, x: Value, weights: &Gated, activation: Op) -> Built {
        let gate = self.linear(x, &weights.gate)?;
        let gate = self.op(activation, &[gate])?;
        let up = self.linear(x, &weights.up)?;
        let product = self.product(gate, up)?;
        self.linear(product, &weights.down)
    }
}
