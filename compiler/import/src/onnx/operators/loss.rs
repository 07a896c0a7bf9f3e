//! Losses.

use super::{Importer, Node, Operator, Results, one};
use crate::onnx::node_error::{NodeResult, invalid};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("NegativeLogLikelihoodLoss", negative_log_likelihood),
    Operator::standard("SoftmaxCrossEntropyLoss", cross_entropy),
];

fn negative_log_likelihood(cx: &mut Importer, node: &Node) -> Results {
    one(loss(cx, node, node.input(0)?)?)
}

fn cross_entropy(cx: &mut Importer, node: &Node) -> Results {
    let scores = node.input(0)?;
    let largest = cx.reduce(Op::ReduceMax, scores, &[1])?;
    let shifted = cx.sub(scores, &largest)?;
    let exponents = cx.unary(Op::Exp, &shifted)?;
    let sum = cx.reduce(Op::ReduceSum, &exponents, &[1])?;
    let log = cx.unary(Op::Log, &sum)?;
    let logs = cx.sub(&shifted, &log)?;
    Ok(vec![loss(cx, node, &logs)?, logs])
}

/// What the classes named by the target contribute. `logs` has the classes along axis 1, where the target has no axis.
fn loss(cx: &mut Importer, node: &Node, logs: &Operand) -> NodeResult<Operand> {
    let (dims, target) = (cx.dims(logs), cx.cast(node.input(1)?, DType::I64)?);
    let target_dims = cx.dims(&target);
    if dims.len() < 2 || target_dims.len() + 1 != dims.len() {
        return invalid(format!("a target of shape {target_dims:?} does not fit scores of shape {dims:?}"));
    }
    let mut wide = target_dims.clone();
    wide.insert(1, 1.into());
    let target = cx.reshape(&target, &wide)?;
    let mut class_dims = vec![Dim::constant(1); dims.len()];
    class_dims[1] = dims[1].clone();
    let classes = cx.iota(DType::I64, &class_dims, 1)?;
    let hit = cx.binary(Op::Equal, &classes, &target)?;
    let weights = weights(cx, node, logs, &hit, &target)?;
    let zero = cx.scalar_like(logs, 0.0)?;
    let chosen = cx.select(&hit, logs, &zero)?;
    let chosen = cx.reduce(Op::ReduceSum, &chosen, &[1])?;
    let weighted = cx.mul(&chosen, &weights)?;
    let losses = cx.unary(Op::Neg, &weighted)?;
    combined(cx, node, &losses, &weights, &target_dims)
}

/// The weight of each target, with size 1 along the axis of classes; 0 where it is to be ignored.
fn weights(cx: &mut Importer, node: &Node, logs: &Operand, hit: &Operand, target: &Operand) -> NodeResult<Operand> {
    let (rank, zero) = (cx.rank(logs), cx.scalar_like(logs, 0.0)?);
    let mut weights = match node.optional(2)? {
        Some(given) => {
            let mut dims = vec![Dim::constant(1); rank];
            dims[1] = cx.ty(given).element_count();
            let given = cx.reshape(given, &dims)?;
            let chosen = cx.select(hit, &given, &zero)?;
            cx.reduce(Op::ReduceSum, &chosen, &[1])?
        }
        None => cx.full(cx.dtype(logs), &cx.dims(target), 1.0)?,
    };
    if node.has("ignore_index") {
        let ignored = cx.with_scalar(Op::Equal, target, node.int("ignore_index", 0) as f64)?;
        weights = cx.select(&ignored, &zero, &weights)?;
    }
    Ok(weights)
}

fn combined(cx: &mut Importer, node: &Node, losses: &Operand, weights: &Operand, dims: &[Dim]) -> NodeResult<Operand> {
    let reduction = node.text("reduction", "mean");
    if reduction == "none" {
        return cx.reshape(losses, dims);
    }
    let axes: Vec<usize> = (0..cx.rank(losses)).collect();
    let total = cx.reduce(Op::ReduceSum, losses, &axes)?;
    let result = match reduction.as_str() {
        "sum" => total,
        "mean" => {
            let count = cx.reduce(Op::ReduceSum, weights, &axes)?;
            cx.div(&total, &count)?
        }
        other => return invalid(format!("the reduction `{other}` is not known")),
    };
    cx.reshape(&result, &[])
}
