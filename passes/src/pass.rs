//! What a pass is, and what all passes share: options, limits, target costs and errors.

use lostwax_ir::graph::{Graph, TypeError};
use lostwax_ir::verify::verify_graph;
use lostwax_target_api::Caps;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Whether a pass changed the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The graph is as before.
    No,
    /// The graph differs.
    Yes,
}

impl From<bool> for Changed {
    fn from(changed: bool) -> Self {
        if changed { Changed::Yes } else { Changed::No }
    }
}

/// A named graph transformation.
#[derive(Clone, Copy)]
pub struct Pass {
    /// The name on the command line.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Transforms the graph. The graph is valid before and after.
    pub run: fn(&mut Graph, &Context) -> Result<Changed, PassError>,
}

/// Why a pass failed.
#[derive(Debug, Error)]
pub enum PassError {
    /// A pass built an invalid node.
    #[error("pass `{pass}` built an invalid node")]
    InvalidNode {
        /// The pass.
        pass: &'static str,
        /// What is wrong with the node.
        source: TypeError,
    },
    /// The graph is invalid after a pass.
    #[error("the graph is invalid after pass `{pass}`: {}", problems.join("; "))]
    InvalidGraph {
        /// The pass that ran last.
        pass: &'static str,
        /// All that is wrong.
        problems: Vec<String>,
    },
    /// A rewrite rule equated tensors of different types.
    #[error("rule `{rule}` is unsound: it equates {left} with {right}")]
    UnsoundRule {
        /// The rule.
        rule: String,
        /// The type of one side.
        left: String,
        /// The type of the other side.
        right: String,
    },
    /// No form of an output could be built from the e-graph.
    #[error("no form of the graph could be taken from the e-graph")]
    NotExtracted,
    /// The text of a rule cannot be read.
    #[error("rule `{rule}` cannot be read: {problem}")]
    InvalidRule {
        /// The rule.
        rule: String,
        /// What is wrong.
        problem: String,
    },
    /// A pass cannot do what the graph needs.
    #[error("pass `{pass}` does not support {what}")]
    Unsupported {
        /// The pass.
        pass: &'static str,
        /// What is not supported.
        what: String,
    },
    /// No pass has that name.
    #[error("there is no pass `{name}`; passes: {}", known.join(", "))]
    UnknownPass {
        /// The name that was asked for.
        name: String,
        /// All names.
        known: Vec<&'static str>,
    },
}

/// How far a rewrite may change results; each tier includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Bit for bit equal, except for the sign of zeros.
    Exact,
    /// A few roundings fewer or more, as by contraction.
    Contract,
    /// Sums and products in another order.
    Reassociate,
    /// Approximations within a declared tolerance.
    Approximate,
}

const TIERS: &[(&str, Tier)] =
    &[("strict", Tier::Exact), ("contract", Tier::Contract), ("reassoc", Tier::Reassociate), ("fast", Tier::Approximate)];

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = TIERS.iter().find(|(name, _)| *name == text);
        found.map(|(_, tier)| *tier).ok_or_else(|| format!("`{text}` is not one of strict, contract, reassoc, fast"))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TIERS.iter().find(|(_, tier)| tier == self).map_or("?", |(name, _)| name))
    }
}

/// What the target's machine costs; the data by which the optimizer chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct CostTable {
    /// Floating-point operations per nanosecond of well-scheduled contractions.
    pub flops_per_ns: f64,
    /// Simple operations per nanosecond on single elements, outside of contractions.
    pub scalar_ops_per_ns: f64,
    /// Bytes per nanosecond between memory and the processor.
    pub bytes_per_ns: f64,
    /// Nanoseconds to start one kernel.
    pub dispatch_ns: f64,
    /// The part of the traffic and start of slices, broadcasts and concatenations that counts: their users nearly always read
    /// through them, or what they consist of is written in place.
    pub inlined_fraction: f64,
    /// How much longer convolutions and windows take when channels are not innermost.
    pub channels_first_factor: f64,
    /// The columns of a contraction that are computed together, needed or not.
    pub column_lanes: f64,
    /// How much longer traffic takes that permutes axes.
    pub transpose_factor: f64,
    /// Nanoseconds that one byte of stored constants is worth.
    pub constant_byte_ns: f64,
    /// The size that a symbolic dimension is taken to have, clamped to its range.
    pub symbol_size: i64,
}

impl Default for CostTable {
    fn default() -> Self {
        Self {
            flops_per_ns: 100.0,
            scalar_ops_per_ns: 10.0,
            bytes_per_ns: 15.0,
            dispatch_ns: 1000.0,
            inlined_fraction: 0.05,
            channels_first_factor: 3.0,
            column_lanes: 8.0,
            transpose_factor: 2.0,
            constant_byte_ns: 1e-6,
            symbol_size: 64,
        }
    }
}

impl From<&Caps> for CostTable {
    /// What a target says of its machine, and the defaults for what it does not.
    fn from(caps: &Caps) -> Self {
        let Caps { flops_per_ns, bytes_per_ns, dispatch_ns, .. } = *caps;
        Self { flops_per_ns, bytes_per_ns, dispatch_ns, ..Self::default() }
    }
}

/// Limits of the work that passes do, as counts, so that results never depend on time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rounds of rule application.
    pub iterations: usize,
    /// E-nodes per node of the graph.
    pub growth: usize,
    /// Nodes of a region that is rewritten as a whole.
    pub region_nodes: usize,
    /// Bytes that folding may make from nothing, per constant.
    pub folded_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { iterations: 24, growth: 40, region_nodes: 1500, folded_bytes: 1 << 16 }
    }
}

/// Checks a graph and gives all problems.
pub type Verifier = fn(&Graph) -> Vec<String>;

/// Options and data that all passes share.
#[derive(Clone, Debug)]
pub struct Context {
    /// How far results may change.
    pub tier: Tier,
    /// Names of rules and rule groups that must not be applied.
    pub disabled: BTreeSet<String>,
    /// The weight of materialized bytes against time; 1 is neutral.
    pub memory_weight: f64,
    /// Limits of the work.
    pub limits: Limits,
    /// The target's costs.
    pub costs: CostTable,
    /// Checks the graph after each pass; by default the verifier of the intermediate representation.
    pub verify: Option<Verifier>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            tier: Tier::Reassociate,
            disabled: BTreeSet::new(),
            memory_weight: 1.0,
            limits: Limits::default(),
            costs: CostTable::default(),
            verify: Some(|graph| verify_graph(graph).iter().map(ToString::to_string).collect()),
        }
    }
}

impl Pass {
    /// Runs the pass and checks the graph after it.
    ///
    /// # Errors
    /// [`PassError`] naming the pass.
    pub fn apply(&self, graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
        let changed = (self.run)(graph, ctx)?;
        let problems = ctx.verify.map_or_else(Vec::new, |verify| verify(graph));
        if problems.is_empty() { Ok(changed) } else { Err(PassError::InvalidGraph { pass: self.name, problems }) }
    }

    /// The pass of that name.
    ///
    /// # Errors
    /// [`PassError::UnknownPass`] listing all names.
    pub fn from_name(name: &str) -> Result<&'static Pass, PassError> {
        let found = crate::PASSES.iter().find(|pass| pass.name == name);
        found.ok_or_else(|| PassError::UnknownPass {
            name: name.to_string(),
            known: crate::PASSES.iter().map(|pass| pass.name).collect(),
        })
    }
}

/// Runs passes by name, in order.
///
/// # Errors
/// [`PassError`] of the first pass that fails, or of a name that is not known.
pub fn run_passes(names: &[&str], graph: &mut Graph, ctx: &Context) -> Result<Changed, PassError> {
    let passes = names.iter().map(|name| Pass::from_name(name)).collect::<Result<Vec<_>, _>>()?;
    let mut changed = Changed::No;
    for pass in passes {
        if pass.apply(graph, ctx)? == Changed::Yes {
            changed = Changed::Yes;
        }
    }
    Ok(changed)
}
