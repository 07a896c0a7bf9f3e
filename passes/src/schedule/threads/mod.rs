//! Schedules of work items that threads share.
//!
//! Contractions of many rows are cut into blocks, whose factors the threads bring into shared memory step by step (`staged`);
//! long reductions of few elements are cut along the reduction, a part for each thread (`split`). What is neither runs as on
//! machines whose work items have no threads.

mod split;
mod staged;

use super::build::{Block, Context, KernelBuilder, for_loop};
use super::contraction::Roles;
use super::nest::Nest;
use super::{Argument, Scheduled};
use lostwax_ir::compute::Axis;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, BufferId, LoopKind, Operand, Place, Stmt};
use lostwax_target_api::ThreadCaps;

/// Builds the kernel of a contraction, if sharing its work items is worth it.
pub(super) fn contract(
    name: &str,
    nest: &Nest,
    roles: &Roles,
    inputs: &[Argument],
    buffers: &[BufferDecl],
    caps: &ThreadCaps,
) -> Option<Scheduled> {
    staged::schedule(name, nest, roles, inputs, buffers, caps)
        .or_else(|| split::contract(name, nest, roles, inputs, buffers, caps))
}

pub(super) use split::reduce;

/// A loop of threads.
fn each_thread(builder: &mut KernelBuilder, count: i64, body: impl FnOnce(&mut KernelBuilder, &Dim) -> Block) -> Stmt {
    let thread = builder.symbol("thread", &count.into());
    let body = body(builder, &Dim::symbol(&thread));
    for_loop(&thread, count, LoopKind::Threads, body)
}

/// Binds loops to coordinates.
fn bind_all<'a>(context: Context<'a>, axes: &'a [Axis], coords: Vec<Dim>) -> Context<'a> {
    axes.iter().zip(coords).fold(context, |context, (axis, coord)| context.bind(&axis.symbol, coord))
}

fn extents(axes: &[Axis]) -> Vec<Dim> {
    axes.iter().map(|axis| axis.extent.clone()).collect()
}

/// Calculates the result from what was reduced, and stores it.
fn store_result(builder: &mut KernelBuilder, nest: &Nest, mut context: Context<'_>, reduced: Operand) -> Block {
    let mut block = Vec::new();
    context.reduced = Some(reduced);
    let value = builder.expand(&mut block, &nest.result, &context);
    let output = BufferId(builder.buffers.len() as u32 - 1);
    block.push(Stmt::Store { place: Place::Buffer(output, context.dim(&nest.index)), value });
    block
}

/// A loop that is expanded.
fn unrolled(builder: &mut KernelBuilder, count: i64, body: impl FnOnce(&mut KernelBuilder, &Symbol) -> Block) -> Stmt {
    let symbol = builder.symbol("u", &count.into());
    let body = body(builder, &symbol);
    for_loop(&symbol, count, LoopKind::Unrolled, body)
}
