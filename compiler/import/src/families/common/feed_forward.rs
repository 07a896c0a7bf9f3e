//! Feed-forward networks, gated ones after Shazeer, "GLU Variants Improve Transformer", 2020.

use super::builder::{Builder, Built};
use super::moe::Experts;
use super::weights::Linear;
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;

/// The weights of one layer's network.
pub enum FeedForward {
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
pub struct Gated {
    /// What is activated.
    pub gate: Linear,
    /// What is gated.
    pub up: Linear,
    /// What brings both back.
    pub down: Linear,
}

impl Builder {
    /// The network of `x[sequence, hidden]`.
    pub fn feed_forward(&mut self, x: Value, weights: &FeedForward, activation: Op) -> Built {
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
    pub fn gated(&mut self, x: Value, weights: &Gated, activation: Op) -> Built {
        let gate = self.linear(x, &weights.gate)?;
        let gate = self.op(activation, &[gate])?;
        let up = self.linear(x, &weights.up)?;
        let product = self.product(gate, up)?;
        self.linear(product, &weights.down)
    }
}
