//! The way of a model through the compiler, as one function.

use crate::assemble::{Assembled, assemble};
use crate::error::CompileError;
use crate::targets::Selection;
use lostwax_format::{Writer, Written};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::ops::Op;
use lostwax_passes::fuse::{fuse, is_given};
use lostwax_passes::{Context, CostTable, run_passes};
use lostwax_target_api::{EmitOptions, Variant};
use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

/// The stages of a compilation, for progress reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Algebra, layouts and constants.
    Optimize,
    /// Grouping into kernels, schedules and memory.
    Schedule,
    /// Code generation.
    Emit,
    /// Writing the file.
    Write,
}

/// What is compiled and how.
pub struct Settings<'a> {
    /// The targets with their variants.
    pub targets: &'a [Selection],
    /// Whether to keep the code as text.
    pub listing: bool,
    /// Called when a stage begins.
    pub progress: &'a mut dyn FnMut(Stage),
}

/// What came out of a compilation.
#[derive(Debug)]
pub struct Compiled {
    /// The plan, and the kernels of each variant.
    pub assembled: Assembled,
    /// Sizes and hash of the file.
    pub written: Written,
    /// How long each stage took.
    pub times: Vec<(Stage, Duration)>,
    /// The code of each variant as text, if asked for.
    pub listings: Vec<String>,
    /// Bytes of code of each variant.
    pub code_bytes: Vec<usize>,
    /// Bytes of working memory at typical sizes.
    pub arena_bytes: u64,
}

/// The passes from an imported to an optimized graph, in order.
pub const PASSES: &[&str] = &[
    "fold_constants",
    "canonicalize",
    "share_common",
    "optimize",
    "fold_constants",
    "split_padding",
    "share_common",
    "nest_concats",
    "remove_dead",
];

/// Weights of materialized bytes that are tried one after another until the working memory fits.
const MEMORY_WEIGHTS: [f64; 4] = [1.0, 4.0, 16.0, 64.0];

/// Optimizes and compiles a graph and writes the artifact to `out`. When `max_memory` is given, the optimizer weighs memory
/// more until the working memory at typical sizes fits.
///
/// # Errors
/// [`CompileError`] of the stage that failed; [`CompileError::MemoryLimit`] when no plan is small enough.
pub fn run(
    graph: &Graph,
    passes: &Context,
    max_memory: Option<u64>,
    settings: &mut Settings<'_>,
    out: &mut dyn Write,
) -> Result<Compiled, CompileError> {
    let mut smallest = u64::MAX;
    for weight in MEMORY_WEIGHTS {
        let started = Instant::now();
        (settings.progress)(Stage::Optimize);
        let mut optimized = graph.clone();
        let costs = costs(settings.targets).unwrap_or_else(|| passes.costs.clone());
        let context = Context { memory_weight: passes.memory_weight * weight, costs, ..passes.clone() };
        run_passes(PASSES, &mut optimized, &context)?;
        let took = started.elapsed();
        let mut bytes = Vec::new();
        let mut compiled = compile(&optimized, settings, &mut bytes)?;
        compiled.times.insert(0, (Stage::Optimize, took));
        smallest = smallest.min(compiled.arena_bytes);
        if max_memory.is_none_or(|limit| compiled.arena_bytes <= limit) {
            let io = |source| CompileError::Io { path: "the artifact".into(), source };
            out.write_all(&bytes).map_err(io)?;
            return Ok(compiled);
        }
    }
    Err(CompileError::MemoryLimit { needed: smallest, allowed: max_memory.unwrap_or(0) })
}

/// The costs of the best form of the code: one graph serves all forms.
fn costs(targets: &[Selection]) -> Option<CostTable> {
    targets.iter().find_map(|selection| selection.variants.first()).map(|variant| CostTable::from(&variant.caps))
}

/// Compiles an optimized graph and writes the artifact to `out`.
///
/// # Errors
/// [`CompileError`] of the stage that failed.
pub fn compile(graph: &Graph, settings: &mut Settings<'_>, out: impl Write) -> Result<Compiled, CompileError> {
    let mut clock = Clock::default();
    (settings.progress)(Stage::Schedule);
    let mut graph = graph.clone();
    separate_outputs(&mut graph).map_err(|error| CompileError::Internal { problem: error.to_string() })?;
    let fused = fuse(&graph)?;
    let variants: Vec<Variant> = settings.targets.iter().flat_map(|selection| selection.variants.clone()).collect();
    let mut writer = Writer::new(concat!("lostwax ", env!("CARGO_PKG_VERSION")));
    let mut assembled = assemble(&graph, &fused, &variants, &mut writer)?;
    clock.lap(Stage::Schedule);
    (settings.progress)(Stage::Emit);
    let (listings, code_bytes) = emit(&mut assembled, settings, &mut writer)?;
    clock.lap(Stage::Emit);
    (settings.progress)(Stage::Write);
    let written = writer.write(&assembled.plan, out)?;
    clock.lap(Stage::Write);
    let arena_bytes = assembled.arena_bytes;
    Ok(Compiled { assembled, written, times: clock.laps, listings, code_bytes, arena_bytes })
}

struct Clock {
    start: Instant,
    laps: Vec<(Stage, Duration)>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now(), laps: Vec::new() }
    }
}

impl Clock {
    fn lap(&mut self, stage: Stage) {
        self.laps.push((stage, self.start.elapsed()));
        self.start = Instant::now();
    }
}

fn emit(
    assembled: &mut Assembled,
    settings: &Settings<'_>,
    writer: &mut Writer<'_>,
) -> Result<(Vec<String>, Vec<usize>), CompileError> {
    let options = EmitOptions { listing: settings.listing };
    let (mut listings, mut sizes) = (Vec::new(), Vec::new());
    let forms = settings.targets.iter().flat_map(|selection| selection.variants.iter().map(move |variant| (selection, variant)));
    for (position, (selection, variant)) in forms.enumerate() {
        let kernels: &[Kernel] = assembled.kernels.get(position).map_or(&[], Vec::as_slice);
        let emitted = selection.target.emit(variant, kernels, &options)?;
        sizes.push(emitted.code.len());
        listings.extend(emitted.listing);
        let info = &variant.info;
        let section = writer.code(&info.device, &info.arch, &info.name, emitted.code)?;
        if let Some(entry) = assembled.plan.variants.get_mut(position) {
            entry.code_section = section;
        }
    }
    Ok((listings, sizes))
}

/// Gives each output a node of its own: outputs that are inputs, constants or other outputs become copies.
fn separate_outputs(graph: &mut Graph) -> Result<(), lostwax_ir::graph::TypeError> {
    let mut taken: BTreeSet<Value> = BTreeSet::new();
    for position in 0..graph.outputs().len() {
        let value = graph.outputs()[position].value;
        if is_given(graph, value) || !taken.insert(value) {
            let copy = graph.add(Op::Reshape, Attrs::new().with("dims", graph.ty(value).dims.clone()), &[value])?;
            graph.set_output(position, copy);
            taken.insert(copy);
        }
    }
    Ok(())
}
