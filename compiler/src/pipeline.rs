//! The path of a model through the compiler, as one function.

use crate::assemble::{Assembled, Assembler};
use crate::error::CompileError;
use crate::level::Level;
use crate::placement::{self, Code, Fallback, SelectedVariant};
use crate::plan_sizes::arena_bytes;
use crate::registry::{Registry, SelectedTarget};
use lostwax_format::{Writer, Written};
use lostwax_import::program::{EntryGraph, Language, Program};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::ops::Op;
use lostwax_passes::fuse::{fuse_within, is_given};
use lostwax_passes::operations::operations;
use lostwax_passes::{Context, CostTable};
use lostwax_target_api::{EmitOptions, Operation, OutputKind, Variant};
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
    pub targets: &'a [SelectedTarget],
    /// How much is optimized.
    pub level: &'a Level,
    /// Bytes of working memory that the model may need at the sizes of [`crate::plan_sizes`]. When given, the optimizer weighs memory more until the
    /// working memory fits.
    pub max_memory: Option<u64>,
    /// Whether what would make [`Compiled::warnings`] or [`Compiled::fallbacks`] is an error.
    pub strict: bool,
    /// What is written beside the artifact.
    pub outputs: &'a BTreeSet<OutputKind>,
    /// Called when a stage begins.
    pub progress: &'a mut dyn FnMut(Stage),
}

/// What came out of a compilation.
#[derive(Debug)]
pub struct Compiled {
    /// The graphs that kernels were made of.
    pub graphs: Vec<EntryGraph>,
    /// The plan, and the kernels of each variant.
    pub assembled: Assembled,
    /// Sizes and hash of the file.
    pub written: Written,
    /// How long each stage took.
    pub times: Vec<(Stage, Duration)>,
    /// What was asked for beside the artifact, by variant.
    pub outputs: Vec<BTreeMap<OutputKind, Vec<u8>>>,
    /// Bytes of code of each variant.
    pub code_bytes: Vec<usize>,
    /// What runs slower than it could.
    pub warnings: Vec<String>,
    /// The kernels that run elsewhere than on the device of their target.
    pub fallbacks: Vec<Fallback>,
}

/// Penalties for stored bytes that are tried one after another until the working memory fits.
const MEMORY_WEIGHTS: [f64; 4] = [1.0, 4.0, 16.0, 64.0];

/// Optimizes and compiles the graphs of a model, one by one, and writes the artifact to `out`.
///
/// # Errors
/// [`CompileError`] of the stage that failed; [`CompileError::MemoryLimit`] when no plan is small enough, and
/// [`CompileError::Slow`] when the settings are strict and something runs slower than it could or elsewhere than on its target's
/// device. Nothing is written then.
pub fn run(
    registry: &Registry,
    program: &Program,
    passes: &Context,
    settings: &mut Settings<'_>,
    out: &mut dyn Write,
) -> Result<Compiled, CompileError> {
    let mut variants: Vec<_> = variants(program, settings.targets).collect();
    let mut clock = Clock::default();
    let mut planned = plan_within_limit(program, passes, settings, &variants, &mut clock)?;
    let warnings = warnings(registry, &planned.assembled, settings.targets);
    if settings.strict && !warnings.is_empty() {
        return Err(CompileError::Slow { problems: warnings });
    }
    let mut code = emit(&variants, &planned.assembled, settings, &mut clock)?;
    let default_target = registry.default_target()?;
    let fallbacks = placement::fallbacks(&variants, &code, &planned.assembled, default_target);
    if settings.strict && !fallbacks.is_empty() {
        return Err(CompileError::Slow { problems: fallbacks.iter().map(ToString::to_string).collect() });
    }
    let default;
    if placement::needs_default(&variants, &code, default_target) {
        default = [registry.select(default_target)?];
        variants.extend(self::variants(program, &default));
        planned = plan_within_limit(program, passes, settings, &variants, &mut clock)?;
        code = emit(&variants, &planned.assembled, settings, &mut clock)?;
    }
    placement::place(&variants, &mut code, &mut planned.assembled)?;
    let Planned { graphs, mut assembled, mut writer } = planned;
    let (outputs, code_bytes) = add_code(&variants, code, &mut assembled, &mut writer)?;
    (settings.progress)(Stage::Write);
    let written = writer.write(&assembled.plan, out)?;
    clock.lap(Stage::Write);
    Ok(Compiled { graphs, assembled, written, times: clock.laps, outputs, code_bytes, warnings, fallbacks })
}

/// The graphs that [`run`] makes kernels of, without making them.
///
/// # Errors
/// As [`run`].
pub fn optimize(program: &Program, passes: &Context, settings: &mut Settings<'_>) -> Result<Vec<EntryGraph>, CompileError> {
    let variants: Vec<_> = variants(program, settings.targets).collect();
    let mut clock = Clock::default();
    if settings.max_memory.is_some() {
        return Ok(plan_within_limit(program, passes, settings, &variants, &mut clock)?.graphs);
    }
    let context = costed(passes, &variants);
    program.entries.iter().map(|entry| optimize_entry(entry, &context, settings, &mut clock)).collect()
}

/// The context with the costs that the optimizer uses for a program on these targets.
pub fn context(program: &Program, passes: &Context, targets: &[SelectedTarget]) -> Context {
    costed(passes, &variants(program, targets).collect::<Vec<_>>())
}

/// A plan without code, and the file that it will be written to.
struct Planned {
    graphs: Vec<EntryGraph>,
    assembled: Assembled,
    writer: Writer<'static>,
}

fn plan_within_limit(
    program: &Program,
    passes: &Context,
    settings: &mut Settings<'_>,
    variants: &[SelectedVariant<'_>],
    clock: &mut Clock,
) -> Result<Planned, CompileError> {
    let allowed = settings.max_memory.unwrap_or(u64::MAX);
    let mut least = (u64::MAX, Vec::new());
    for weight in MEMORY_WEIGHTS {
        let context = Context { memory_weight: passes.memory_weight * weight, ..costed(passes, variants) };
        let planned = plan(program, &context, settings, variants, clock)?;
        let (needed, sizes) = arena_bytes(&planned.assembled.plan)?;
        if needed <= allowed {
            return Ok(planned);
        }
        if needed < least.0 {
            least = (needed, sizes);
        }
    }
    let (needed, sizes) = least;
    Err(CompileError::MemoryLimit { needed, allowed, sizes })
}

/// The context with the costs of the best variant of the code: one graph serves all variants.
fn costed(passes: &Context, variants: &[SelectedVariant<'_>]) -> Context {
    let costs = variants.first().map_or_else(|| passes.costs.clone(), |(_, variant)| CostTable::from(&variant.caps));
    Context { costs, ..passes.clone() }
}

/// The graph of an entry point as kernels are made of it.
fn optimize_entry(
    entry: &EntryGraph,
    passes: &Context,
    settings: &mut Settings<'_>,
    clock: &mut Clock,
) -> Result<EntryGraph, CompileError> {
    (settings.progress)(Stage::Optimize);
    let mut graph = entry.graph.clone();
    settings.level.run(&mut graph, passes)?;
    separate_outputs(&mut graph).map_err(|error| CompileError::Internal { problem: error.to_string() })?;
    clock.lap(Stage::Optimize);
    Ok(EntryGraph { name: entry.name.clone(), graph })
}

fn plan(
    program: &Program,
    passes: &Context,
    settings: &mut Settings<'_>,
    variants: &[SelectedVariant<'_>],
    clock: &mut Clock,
) -> Result<Planned, CompileError> {
    let mut writer = Writer::new(concat!("lostwax ", env!("CARGO_PKG_VERSION")));
    let variants: Vec<Variant> = variants.iter().map(|(_, variant)| (*variant).clone()).collect();
    let arguments = variants.iter().map(|variant| variant.caps.arguments).min().unwrap_or(u32::MAX);
    let mut assembler = Assembler::new(&program.name, variants);
    let mut graphs = Vec::new();
    for entry in &program.entries {
        let EntryGraph { name, graph } = optimize_entry(entry, passes, settings, clock)?;
        (settings.progress)(Stage::Schedule);
        assembler.add(&name, &graph, &fuse_within(&graph, arguments)?, &mut writer)?;
        clock.lap(Stage::Schedule);
        graphs.push(EntryGraph { name, graph });
    }
    if let Some(Language { description, tokenizer, .. }) = &program.language {
        writer.language_model(description, tokenizer.clone())?;
    }
    Ok(Planned { graphs, assembled: assembler.finish(), writer })
}

/// The variants that are worth having for a program. At least one of each target that was asked for stays.
fn variants<'a>(program: &Program, targets: &'a [SelectedTarget]) -> impl Iterator<Item = SelectedVariant<'a>> {
    let used: BTreeSet<Operation> = program.entries.iter().flat_map(|entry| operations(&entry.graph)).collect();
    targets.iter().flat_map(move |selection| {
        let serving: Vec<&Variant> = selection.variants.iter().filter(|variant| variant.serves(&used)).collect();
        let chosen = if serving.is_empty() { selection.variants.iter().collect() } else { serving };
        chosen.into_iter().map(move |variant| (selection, variant))
    })
}

/// What runs slower than it could: steps by their schedules, and code for this machine that does not use all of it.
fn warnings(registry: &Registry, assembled: &Assembled, targets: &[SelectedTarget]) -> Vec<String> {
    let missing = targets.iter().filter_map(|selection| registry.missing_variant(selection));
    assembled.slow.iter().cloned().chain(missing).collect()
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

type Emission = (Vec<BTreeMap<OutputKind, Vec<u8>>>, Vec<usize>);

fn emit(
    variants: &[SelectedVariant<'_>],
    assembled: &Assembled,
    settings: &mut Settings<'_>,
    clock: &mut Clock,
) -> Result<Vec<Code>, CompileError> {
    (settings.progress)(Stage::Emit);
    let options = EmitOptions { outputs: settings.outputs.clone() };
    let code = variants.iter().enumerate().map(|(position, (selection, variant))| {
        let kernels: &[Kernel] = assembled.kernels.get(position).map_or(&[], Vec::as_slice);
        placement::emit(&*selection.target, variant, kernels, &options)
    });
    let code = code.collect::<Result<_, _>>()?;
    clock.lap(Stage::Emit);
    Ok(code)
}

/// Adds the code of all variants to the file, and its place to the plan.
fn add_code(
    variants: &[SelectedVariant<'_>],
    code: Vec<Code>,
    assembled: &mut Assembled,
    writer: &mut Writer<'_>,
) -> Result<Emission, CompileError> {
    let (mut outputs, mut sizes) = (Vec::new(), Vec::new());
    for (position, ((_, variant), Code { emitted, .. })) in variants.iter().zip(code).enumerate() {
        sizes.push(emitted.code.len());
        outputs.push(emitted.outputs);
        let info = &variant.info;
        let section = writer.code(&info.device, &info.arch, &info.name, emitted.code)?;
        if let Some(entry) = assembled.plan.variants.get_mut(position) {
            entry.code_section = section;
        }
    }
    Ok((outputs, sizes))
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
