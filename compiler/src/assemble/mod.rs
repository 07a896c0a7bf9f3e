//! From fused groups to a plan: storage, schedules, memory and steps.

mod entry;
mod expressions;
mod limits;
mod storage;
mod weights;
mod work;

use crate::error::CompileError;
use entry::EntryAssembler;
use expressions::Expressions;
use lostwax_format::{Plan, State, Symbol, TensorSpec, Variant as PlanVariant, Writer};
use lostwax_ir::graph::Graph;
use lostwax_ir::kernel::Kernel;
use lostwax_passes::fuse::Fused;
use lostwax_target_api::Variant;
use std::collections::{BTreeSet, HashMap};
use storage::Storage;
use weights::Weights;

/// A plan whose code is still to be written.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The plan; code sections of the variants are not named yet.
    pub plan: Plan,
    /// The kernels of each variant.
    pub kernels: Vec<Vec<Kernel>>,
    /// Steps that are known to be slow, and why.
    pub slow: Vec<String>,
}

/// Makes one plan of the entry points of a model, which share symbols, expressions, states, weights and kernels.
pub struct Assembler {
    variants: Vec<Variant>,
    expressions: Expressions,
    weights: Weights,
    kernels: Vec<KernelTable>,
    plan: Plan,
    slow: BTreeSet<(usize, String)>,
}

impl Assembler {
    /// A plan without entry points for a model of that name, with code in these forms.
    pub fn new(model: &str, variants: Vec<Variant>) -> Self {
        let plan =
            Plan { model_name: model.to_string(), variants: variants.iter().map(plan_variant).collect(), ..Plan::default() };
        Self {
            expressions: Expressions::default(),
            weights: Weights::default(),
            kernels: vec![KernelTable::default(); variants.len()],
            variants,
            plan,
            slow: BTreeSet::new(),
        }
    }

    /// Adds a graph as the entry point `name`. Packed weights go to `writer`.
    ///
    /// # Errors
    /// [`CompileError::EntryPoint`] if a state or a symbol is another one than in the entry points before, and
    /// [`CompileError::Internal`] when variants disagree on the form of weights, or a value has no storage.
    pub fn add(&mut self, name: &str, graph: &Graph, fused: &Fused, writer: &mut Writer<'_>) -> Result<(), CompileError> {
        self.declare_symbols(name, graph)?;
        let storage = Storage::new(graph, fused);
        EntryAssembler::new(self, name, graph, fused, &storage)?.assemble(writer)
    }

    /// The plan.
    pub fn finish(mut self) -> Assembled {
        self.plan.exprs = self.expressions.finish();
        let kernels: Vec<Vec<Kernel>> = self.kernels.into_iter().map(|table| table.kernels).collect();
        for (variant, kernels) in self.plan.variants.iter_mut().zip(&kernels) {
            variant.kernels = kernels.iter().map(|kernel| kernel.name.clone()).collect();
        }
        let slow = self.slow.iter().map(|(step, text)| format!("step {step}{}, {text}", place(&self.plan, *step))).collect();
        Assembled { plan: self.plan, kernels, slow }
    }

    fn declare_symbols(&mut self, entry: &str, graph: &Graph) -> Result<(), CompileError> {
        for symbol in graph.symbols().values() {
            let problem = || format!("the size `{}` has another range than in the entry points before", symbol.name());
            let is_new = self.expressions.declare(symbol).ok_or_else(|| entry_point(entry, problem()))?;
            if is_new {
                self.plan.symbols.push(Symbol { name: symbol.name().to_string(), min: symbol.min(), max: symbol.max() });
            }
        }
        Ok(())
    }

    /// The position of a state in the plan.
    fn state(&mut self, entry: &str, spec: TensorSpec) -> Result<u32, CompileError> {
        let known = self.plan.states.iter().position(|state| state.tensor.as_ref().is_some_and(|known| known.name == spec.name));
        let position = known.unwrap_or(self.plan.states.len());
        match self.plan.states.get(position).map(|state| state.tensor.as_ref() == Some(&spec)) {
            Some(true) => {}
            Some(false) => {
                let problem = format!("the state `{}` has another type than in the entry points before", spec.name);
                return Err(entry_point(entry, problem));
            }
            None => self.plan.states.push(State { tensor: Some(spec), initial_weight: None }),
        }
        Ok(position as u32)
    }
}

/// The entry point of a step, where there are several.
fn place(plan: &Plan, step: usize) -> String {
    let entry = plan.entry_points.iter().rfind(|entry| entry.first_step as usize <= step);
    entry.filter(|_| plan.entry_points.len() > 1).map_or_else(String::new, |entry| format!(" of `{}`", entry.name))
}

fn entry_point(name: &str, problem: String) -> CompileError {
    CompileError::EntryPoint { name: name.to_string(), problem }
}

fn plan_variant(variant: &Variant) -> PlanVariant {
    let info = &variant.info;
    PlanVariant {
        device: info.device.clone(),
        arch: info.arch.clone(),
        os: info.os.clone(),
        abi: info.abi.clone(),
        name: info.name.clone(),
        features: info.features.clone(),
        ..PlanVariant::default()
    }
}

/// The kernels of one variant; equal ones are kept once.
#[derive(Clone, Debug, Default)]
struct KernelTable {
    kernels: Vec<Kernel>,
    positions: HashMap<Kernel, u32>,
}

impl KernelTable {
    fn add(&mut self, kernel: Kernel) -> u32 {
        let key = Kernel { name: String::new(), ..kernel.clone() };
        let next = self.kernels.len() as u32;
        let position = *self.positions.entry(key).or_insert(next);
        if position == next {
            self.kernels.push(Kernel { name: format!("{}_{next}", kernel.name), ..kernel });
        }
        position
    }
}
