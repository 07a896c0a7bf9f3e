//! What the reduction schedules share: identities and accumulation.

use super::build::{ALL_LANES, Block, Context, KernelBuilder, for_loop};
use super::nest::NestReduction;
use lostwax_ir::compute::{Body, Step};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{LocalId, Operand, Place, Scalar, Stmt};
use lostwax_ir::scalar::{BinaryOp, ReduceOp};
use lostwax_ir::types::DType;

/// The value that a reduction starts with.
pub(super) fn identity(op: ReduceOp, dtype: DType) -> Operand {
    let (float, int) = match op {
        ReduceOp::Sum => (0.0, 0),
        ReduceOp::Prod => (1.0, 1),
        ReduceOp::Max => (f64::NEG_INFINITY, lowest(dtype)),
        ReduceOp::Min => (f64::INFINITY, highest(dtype)),
    };
    if dtype.is_float() { Operand::float(dtype, float) } else { Operand::Int(dtype, int) }
}

fn lowest(dtype: DType) -> i64 {
    if dtype.is_signed_integer() { i64::MIN >> (64 - 8 * dtype.size()) } else { 0 }
}

fn highest(dtype: DType) -> i64 {
    match dtype {
        DType::Bool => 1,
        DType::U64 => -1,
        _ if dtype.is_signed_integer() => i64::MAX >> (64 - 8 * dtype.size()),
        _ => (1i64 << (8 * dtype.size())) - 1,
    }
}

/// Combines the value at one point into `sum`.
pub(super) fn accumulate(
    builder: &mut KernelBuilder,
    block: &mut Block,
    reduction: &NestReduction,
    context: &Context<'_>,
    sum: &Place,
) {
    let value = match product_of(reduction) {
        Some((x, y)) => {
            let (x, y) = (builder.expand(block, &x, context), builder.expand(block, &y, context));
            let old = builder.define(block, Scalar::Load(sum.clone()));
            builder.define(block, Scalar::MulAdd(x, y, old))
        }
        None => {
            let value = builder.expand(block, &reduction.value, context);
            let old = builder.define(block, Scalar::Load(sum.clone()));
            builder.define(block, Scalar::Binary(reduction.op.combine(), old, value))
        }
    };
    block.push(Stmt::Store { place: sum.clone(), value });
}

/// The two factors of a floating-point sum of products, as bodies of their own.
fn product_of(reduction: &NestReduction) -> Option<(Body, Body)> {
    let (last, rest) = reduction.value.steps.split_last()?;
    let Step::Binary(BinaryOp::Mul, x, y) = last else { return None };
    let fits = reduction.op == ReduceOp::Sum && reduction.dtype.is_float() && rest.len() == 2 && x.0 == 0 && y.0 == 1;
    fits.then(|| (Body { steps: rest[..1].to_vec() }, Body { steps: rest[1..].to_vec() }))
}

/// Combines the lanes of a local by halves; the result is the first lane.
pub(super) fn combine_lanes(
    builder: &mut KernelBuilder,
    local: LocalId,
    lanes: i64,
    combine: impl Fn(&mut KernelBuilder, &mut Block, Operand, Operand) -> Operand,
) -> Block {
    let mut block = Vec::new();
    let mut width = lanes / 2;
    while width > 0 {
        let lane = builder.symbol("lane", &width.into());
        let at = |first: i64| Place::Local(local, Dim::symbol(&lane) + first.into());
        let mut body = Vec::new();
        let low = builder.define(&mut body, Scalar::Load(at(0)));
        let high = builder.define(&mut body, Scalar::Load(at(width)));
        let value = combine(builder, &mut body, low, high);
        body.push(Stmt::Store { place: at(0), value });
        block.push(for_loop(&lane, width, ALL_LANES, body));
        width /= 2;
    }
    block
}
