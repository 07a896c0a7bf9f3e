//! Prices of nodes and kernels, in picoseconds of the target.

use super::analysis::{TensorGraph, node_parts};
use super::language::ENode;
use crate::cost::{CostModel, CostTable, Operation, Work};
use lostwax_ir::types::TensorType;

/// Prices kernels by a cost model.
#[derive(Clone, Copy, Debug)]
pub struct Prices<'a> {
    /// The model.
    pub model: &'a dyn CostModel,
    /// The machine.
    pub costs: &'a CostTable,
    /// The weight of bytes against time; 1 is neutral.
    pub memory_weight: f64,
}

impl Prices<'_> {
    /// The value of storing a constant, in picoseconds.
    pub fn constant(&self, ty: &TensorType) -> f64 {
        1.0 + self.costs.bytes(ty) * self.costs.constant_byte_ns * 1000.0
    }

    /// The cost of a kernel, in picoseconds; at least 1.
    pub fn kernel(&self, work: &Work) -> u64 {
        let weighted = Work { read: work.read * self.memory_weight, written: work.written * self.memory_weight, ..*work };
        (self.model.nanoseconds(&weighted, self.costs) * 1000.0).round().max(1.0) as u64
    }

    /// The work of the kernel of a node that computes some operands itself: `absorbed` has their work.
    pub fn work(&self, egraph: &TensorGraph, node: &ENode, ty: &TensorType, absorbed: &[Option<Work>]) -> Work {
        let Some((op, (attrs, operands))) = node.op().and_then(|op| Some((op, node_parts(egraph, op, &node.children)?))) else {
            return Work::default();
        };
        let types: Vec<&TensorType> = operands.iter().map(|known| known.ty.as_ref()).collect();
        let mut work = self.model.work(&Operation { op, attrs: &attrs, operands: &types, result: ty }, self.costs);
        for (inner, ty) in absorbed.iter().zip(types) {
            if let Some(inner) = inner {
                work.scalar += inner.scalar;
                work.flops += inner.flops;
                work.read += inner.read - self.costs.bytes(ty);
            }
        }
        work
    }
}
