//! A cost model: the optimizer chooses what takes the least energy instead of the least time.

use lostwax_passes::cost::{CostModel, CostTable, Work};

/// Picojoules per operation and byte. What an operation does is taken from the default model; only the price is another.
#[derive(Clone, Copy, Debug)]
pub struct Energy {
    /// Picojoules of a floating-point operation.
    pub per_flop: f64,
    /// Picojoules of a byte that is read or written.
    pub per_byte: f64,
    /// Picojoules of starting a kernel.
    pub per_start: f64,
}

impl Default for Energy {
    fn default() -> Self {
        Self { per_flop: 1.0, per_byte: 20.0, per_start: 50_000.0 }
    }
}

impl CostModel for Energy {
    /// The optimizer minimizes a sum, whatever its unit: here picojoules count as nanoseconds.
    fn nanoseconds(&self, work: &Work, _: &CostTable) -> f64 {
        let Work { scalar, flops, read, written, starts } = *work;
        (scalar + flops) * self.per_flop + (read + written) * self.per_byte + starts * self.per_start
    }
}
