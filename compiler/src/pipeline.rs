//! The way of a model through the compiler, as one function.

use crate::assemble::{Assembled, Assembler};
use crate::error::CompileError;
use crate::level::Level;
use crate::program::{EntryGraph, Language, Program};
use crate::targets::Selection;
use lostwax_format::{Writer, Written};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::ops::Op;
use lostwax_passes::fuse::{fuse_within, is_given, sums_products_of_bytes};
use lostwax_passes::{Context, CostTable};
use lostwax_target_api::{EmitOptions, Form, Variant};
use std::collections::{BTreeMap, BTreeSet};
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
    /// How much is optimized.
    pub level: &'static Level,
    /// Bytes of working memory that the model may need at typical sizes. When given, the optimizer weighs memory more until the
    /// working memory fits.
    pub max_memory: Option<u64>,
    /// Whether what would make [`Compiled::warnings`] is an error.
    pub strict: bool,
    /// The forms of the code that are kept beside the artifact.
    pub forms: &'a BTreeSet<Form>,
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
    /// The forms of the code that were asked for, by variant.
    pub forms: Vec<BTreeMap<Form, Vec<u8>>>,
    /// Bytes of code of each variant.
    pub code_bytes: Vec<usize>,
    /// What runs slower than it could.
    pub warnings: Vec<String>,
}

/// Weights of materialized bytes that are tried one after another until the working memory fits.
const MEMORY_WEIGHTS: [f64; 4] = [1.0, 4.0, 16.0, 64.0];

/// Optimizes and compiles the graphs of a model, one by one, and writes the artifact to `out`.
///
/// # Errors
/// [`CompileError`] of the stage that failed; [`CompileError::MemoryLimit`] when no plan is small enough, and
/// [`CompileError::Slow`] when the settings are strict and something runs slower than it could. Nothing is written then.
pub fn run(
    program: &Program,
    passes: &Context,
    settings: &mut Settings<'_>,
    out: &mut dyn Write,
) -> Result<Compiled, CompileError> {
    let variants: Vec<_> = variants(program, settings.targets).collect();
    let Planned { mut assembled, mut writer, mut clock } = plan_within_limit(program, passes, settings, &variants)?;
    let warnings = warnings(&assembled, settings.targets);
    if settings.strict && !warnings.is_empty() {
        return Err(CompileError::Slow { problems: warnings });
    }
    (settings.progress)(Stage::Emit);
    let (forms, code_bytes) = emit(&variants, &mut assembled, settings.forms, &mut writer)?;
    clock.lap(Stage::Emit);
    (settings.progress)(Stage::Write);
    let written = writer.write(&assembled.plan, out)?;
    clock.lap(Stage::Write);
    Ok(Compiled { assembled, written, times: clock.laps, forms, code_bytes, warnings })
}

/// A plan without code, and the file that it will be written to.
struct Planned {
    assembled: Assembled,
    writer: Writer<'static>,
    clock: Clock,
}

fn plan_within_limit(
    program: &Program,
    passes: &Context,
    settings: &mut Settings<'_>,
    variants: &[Chosen<'_>],
) -> Result<Planned, CompileError> {
    let allowed = settings.max_memory.unwrap_or(u64::MAX);
    let mut needed = u64::MAX;
    for weight in MEMORY_WEIGHTS {
        let costs = costs(variants).unwrap_or_else(|| passes.costs.clone());
        let context = Context { memory_weight: passes.memory_weight * weight, costs, ..passes.clone() };
        let planned = plan(program, &context, settings, variants)?;
        if planned.assembled.arena_bytes <= allowed {
            return Ok(planned);
        }
        needed = needed.min(planned.assembled.arena_bytes);
    }
    Err(CompileError::MemoryLimit { needed, allowed })
}

/// The costs of the best form of the code: one graph serves all forms.
fn costs(variants: &[Chosen<'_>]) -> Option<CostTable> {
    variants.first().map(|(_, variant)| CostTable::from(&variant.caps))
}

fn plan(
    program: &Program,
    passes: &Context,
    settings: &mut Settings<'_>,
    variants: &[Chosen<'_>],
) -> Result<Planned, CompileError> {
    let mut clock = Clock::default();
    let mut writer = Writer::new(concat!("lostwax ", env!("CARGO_PKG_VERSION")));
    let variants: Vec<Variant> = variants.iter().map(|(_, variant)| (*variant).clone()).collect();
    let arguments = variants.iter().map(|variant| variant.caps.arguments).min().unwrap_or(u32::MAX);
    let mut assembler = Assembler::new(&program.name, variants);
    for EntryGraph { name, graph } in &program.entries {
        (settings.progress)(Stage::Optimize);
        let mut graph = graph.clone();
        settings.level.run(&mut graph, passes)?;
        clock.lap(Stage::Optimize);
        (settings.progress)(Stage::Schedule);
        separate_outputs(&mut graph).map_err(|error| CompileError::Internal { problem: error.to_string() })?;
        assembler.add(name, &graph, &fuse_within(&graph, arguments)?, &mut writer)?;
        clock.lap(Stage::Schedule);
    }
    if let Some(Language { description, tokenizer, .. }) = &program.language {
        writer.language_model(description, tokenizer.clone())?;
    }
    Ok(Planned { assembled: assembler.finish(), writer, clock })
}

/// A variant that code is written for, and where it was asked for.
type Chosen<'a> = (&'a Selection, &'a Variant);

/// The variants that are worth having for a program. At least one of each target that was asked for stays.
fn variants<'a>(program: &Program, targets: &'a [Selection]) -> impl Iterator<Item = Chosen<'a>> {
    let sums_bytes = program.entries.iter().any(|entry| sums_products_of_bytes(&entry.graph));
    let all = targets.iter().flat_map(|selection| selection.variants.iter().map(move |variant| (selection, variant)));
    let has_others = |selection: &Selection| selection.variants.iter().any(|variant| !variant.for_dot_products);
    all.filter(move |(selection, variant)| sums_bytes || !variant.for_dot_products || !has_others(selection))
}

/// What runs slower than it could: steps by their schedules, and code for this machine that does not use all of it.
fn warnings(assembled: &Assembled, targets: &[Selection]) -> Vec<String> {
    assembled.slow.iter().cloned().chain(targets.iter().filter_map(Selection::missing_variant)).collect()
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
    /// Counts the time since the last lap for a stage.
    fn lap(&mut self, stage: Stage) {
        let time = self.start.elapsed();
        match self.laps.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, total)) => *total += time,
            None => self.laps.push((stage, time)),
        }
        self.start = Instant::now();
    }
}

type Emission = (Vec<BTreeMap<Form, Vec<u8>>>, Vec<usize>);

fn emit(
    variants: &[Chosen<'_>],
    assembled: &mut Assembled,
    forms: &BTreeSet<Form>,
    writer: &mut Writer<'_>,
) -> Result<Emission, CompileError> {
    let options = EmitOptions { forms: forms.clone() };
    let (mut forms, mut sizes) = (Vec::new(), Vec::new());
    for (position, (selection, variant)) in variants.iter().enumerate() {
        let kernels: &[Kernel] = assembled.kernels.get(position).map_or(&[], Vec::as_slice);
        let emitted = selection.target.emit(variant, kernels, &options)?;
        sizes.push(emitted.code.len());
        forms.push(emitted.forms);
        let info = &variant.info;
        let section = writer.code(&info.device, &info.arch, &info.name, emitted.code)?;
        if let Some(entry) = assembled.plan.variants.get_mut(position) {
            entry.code_section = section;
        }
    }
    Ok((forms, sizes))
}

/// Gives each output a node of its own: outputs that are inputs, constants or other outputs become copies. States that stay
/// as they are need none; of others and outputs that are the same, the outputs are copies.
fn separate_outputs(graph: &mut Graph) -> Result<(), TypeError> {
    let mut taken: BTreeSet<Value> = BTreeSet::new();
    let (states, others): (Vec<usize>, Vec<usize>) =
        (0..graph.outputs().len()).partition(|position| graph.state_of_output(*position).is_some());
    for position in states.into_iter().chain(others) {
        let value = graph.outputs()[position].value;
        let stays = graph.state_of_output(position) == Some(value);
        if !stays && (is_given(graph, value) || !taken.insert(value)) {
            let copy = graph.add(Op::Reshape, Attrs::new().with("dims", graph.ty(value).dims.clone()), &[value])?;
            graph.set_output(position, copy);
            taken.insert(copy);
        }
    }
    Ok(())
}
