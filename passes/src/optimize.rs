//! Rewrites a graph by the rules and takes the cheapest of all equal graphs found.

use crate::canonicalize::canonicalize;
use crate::egraph::convert::Loaded;
use crate::egraph::rewrite::{self, CompiledRule};
use crate::egraph::rule::Phase;
use crate::error::PassError;
use crate::fold_constants::fold_constants;
use crate::merge_affine::merge_affine;
use crate::pass::{Changed, Context, Pass};
use crate::regions;
use crate::share_common::share_common;
use lostwax_ir::graph::Graph;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// See [`optimize`].
pub const PASS: Pass = Pass {
    name: "optimize",
    doc: "Rewrites by rules in an e-graph: algebra, weights, activations and layouts, chosen together by cost.",
    run: |graph, ctx| {
        let (optimized, report) = optimize(graph, ctx)?;
        let changed = report.phases.iter().any(|phase| !phase.hits.is_empty());
        *graph = optimized;
        Ok(Changed::from(changed))
    },
};

/// What one phase did.
#[derive(Clone, Debug, Default)]
pub struct PhaseReport {
    /// The phase.
    pub name: &'static str,
    /// Regions that were rewritten one by one.
    pub regions: usize,
    /// Nodes of the graph before.
    pub nodes: usize,
    /// E-nodes in the end, over all regions.
    pub enodes: usize,
    /// The maximum number of rounds that a region took.
    pub iterations: usize,
    /// Whether all regions were rewritten until nothing was left to do.
    pub saturated: bool,
    /// How often each rule applied.
    pub hits: BTreeMap<&'static str, usize>,
    /// The estimated time of the chosen kernels, in picoseconds.
    pub cost: u64,
    /// The number of kernels that were chosen.
    pub kernels: usize,
    /// Time spent on rewriting.
    pub rewriting: Duration,
    /// Time spent on choosing.
    pub choosing: Duration,
}

/// What the optimizer did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The phases in order.
    pub phases: Vec<PhaseReport>,
    /// Time spent on evaluating constants.
    pub folding: Duration,
    /// Time spent in all.
    pub total: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.phases {
            let PhaseReport { name, regions, nodes, enodes, iterations, saturated, .. } = phase;
            let state = if *saturated { "saturated" } else { "limit reached" };
            writeln!(f, "{name}: {nodes} nodes in {regions} regions, {enodes} e-nodes, {iterations} rounds, {state}")?;
            writeln!(f, "  estimate {} us in {} kernels", phase.cost / 1_000_000, phase.kernels)?;
            writeln!(f, "  rewriting {:?}, choosing {:?}", phase.rewriting, phase.choosing)?;
            for (rule, hits) in &phase.hits {
                writeln!(f, "  {hits:6} {rule}")?;
            }
        }
        writeln!(f, "folding {:?}, total {:?}", self.folding, self.total)
    }
}

/// Rewrites a graph by all enabled rules and takes the cheapest graph. A phase that adds no rules to those of the one before is
/// left out.
///
/// Inputs, outputs and constraints stay as they are.
///
/// # Errors
/// [`PassError::UnsoundRule`] names a rule that is wrong; those of [`Context::check`].
pub fn optimize(graph: &Graph, ctx: &Context) -> Result<(Graph, Report), PassError> {
    let start = Instant::now();
    let (mut graph, mut report) = (graph.clone(), Report::default());
    canonicalize(&mut graph, ctx)?;
    tidy(&mut graph, ctx, &mut report)?;
    let mut applied = 0;
    for phase in Phase::ALL {
        let rules = ctx.rules(phase)?;
        if rules.len() == applied {
            continue;
        }
        applied = rules.len();
        graph = rewrite_phase(&graph, phase.name(), &rules, ctx, &mut report)?;
        merge_affine(&mut graph, ctx)?;
        tidy(&mut graph, ctx, &mut report)?;
    }
    report.total = start.elapsed();
    Ok((graph, report))
}

fn tidy(graph: &mut Graph, ctx: &Context, report: &mut Report) -> Result<(), PassError> {
    let start = Instant::now();
    fold_constants(graph, ctx)?;
    share_common(graph, ctx)?;
    report.folding += start.elapsed();
    Ok(())
}

fn rewrite_phase(
    graph: &Graph,
    name: &'static str,
    rules: &[&CompiledRule],
    ctx: &Context,
    report: &mut Report,
) -> Result<Graph, PassError> {
    let mut phase = PhaseReport { name, nodes: graph.len(), saturated: true, ..PhaseReport::default() };
    let optimized = regions::map(graph, ctx.limits.region_nodes, &mut |region| rewrite_region(region, rules, ctx, &mut phase))?;
    report.phases.push(phase);
    Ok(optimized)
}

/// Rewrites one region.
fn rewrite_region(graph: &Graph, rules: &[&CompiledRule], ctx: &Context, phase: &mut PhaseReport) -> Result<Graph, PassError> {
    let start = Instant::now();
    let mut loaded = Loaded::new(graph);
    let node_limit = ctx.limits.growth * (graph.len() + 16);
    let outcome = rewrite::run(&mut loaded.egraph, rules, ctx.limits.iterations, node_limit)?;
    phase.rewriting += start.elapsed();
    let start = Instant::now();
    let selection = loaded.select(ctx.prices()).ok_or(PassError::NotExtracted)?;
    let optimized = loaded.build(&selection).map_err(|source| PassError::InvalidNode { pass: PASS.name, source })?;
    phase.choosing += start.elapsed();
    phase.regions += 1;
    phase.enodes += loaded.egraph.total_number_of_nodes();
    phase.iterations = phase.iterations.max(outcome.iterations);
    phase.saturated &= outcome.saturated;
    phase.cost += selection.cost;
    phase.kernels += selection.kernels;
    for (rule, hits) in outcome.hits {
        *phase.hits.entry(rule).or_default() += hits;
    }
    Ok(optimized)
}

#[cfg(test)]
mod tests;
