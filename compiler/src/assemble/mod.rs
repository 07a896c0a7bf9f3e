//! From fused groups to a plan: storage, schedules, memory and steps.

mod expressions;
mod storage;
mod weights;

use crate::error::CompileError;
use expressions::Expressions;
use lostwax_format::{Buffer, Constraint, Dispatch, EntryPoint, Plan, Region, Step, Symbol, TensorSpec};
use lostwax_format::{Variant as PlanVariant, Writer};
use lostwax_ir::compute::{Compute, Step as ComputeStep};
use lostwax_ir::dim::{Dim, product};
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::types::TensorType;
use lostwax_passes::fuse::{Fused, Group};
use lostwax_passes::plan_memory::{Lifetime, MemoryPlan, plan_memory};
use lostwax_passes::schedule::{Argument, Scheduled, View, representative, schedule};
use lostwax_target_api::Variant;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use storage::Storage;
use weights::Weights;

/// A plan whose code is still to be written.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The plan; code sections of the variants are not named yet.
    pub plan: Plan,
    /// The kernels of each variant.
    pub kernels: Vec<Vec<Kernel>>,
    /// Bytes of working memory at typical sizes.
    pub arena_bytes: u64,
    /// Steps that are known to be slow, and why.
    pub slow: Vec<String>,
}

/// Makes the plan of one graph for all `variants`. Packed weights go to `writer`.
///
/// # Errors
/// [`CompileError::Internal`] when variants disagree on the form of weights, or a value has no storage.
pub fn assemble(graph: &Graph, fused: &Fused, variants: &[Variant], writer: &mut Writer<'_>) -> Result<Assembled, CompileError> {
    let storage = Storage::new(graph, fused);
    let mut assembler = Assembler {
        graph,
        fused,
        storage: &storage,
        expressions: Expressions::default(),
        weights: Weights::default(),
        offsets: BTreeMap::new(),
        plan: Plan { model_name: graph.name.clone(), ..Plan::default() },
        kernels: vec![KernelTable::default(); variants.len()],
        arena_bytes: 0,
        slow: BTreeSet::new(),
    };
    assembler.entry_point()?;
    for variant in variants {
        assembler.plan.variants.push(plan_variant(variant));
    }
    for group in &fused.groups {
        assembler.step(group, variants, writer)?;
    }
    Ok(assembler.finish())
}

fn plan_variant(variant: &Variant) -> PlanVariant {
    let info = &variant.info;
    PlanVariant {
        device: info.device.clone(),
        arch: info.arch.clone(),
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

struct Assembler<'a> {
    graph: &'a Graph,
    fused: &'a Fused,
    storage: &'a Storage<'a>,
    expressions: Expressions,
    weights: Weights,
    /// Arena offsets by the value that owns the memory: expression and bytes.
    offsets: BTreeMap<Value, (u32, u32)>,
    plan: Plan,
    kernels: Vec<KernelTable>,
    arena_bytes: u64,
    slow: BTreeSet<(usize, String)>,
}

impl Assembler<'_> {
    fn entry_point(&mut self) -> Result<(), CompileError> {
        let symbols = self.graph.symbols();
        for symbol in symbols.values() {
            self.expressions.declare(symbol);
            self.plan.symbols.push(Symbol { name: symbol.name().to_string(), min: symbol.min(), max: symbol.max() });
        }
        let inputs = self.graph.inputs().iter().map(|value| (self.graph.node(*value).attrs.text("name").to_string(), *value));
        let inputs: Vec<(String, Value)> = inputs.collect();
        let outputs: Vec<(String, Value)> = self.graph.outputs().iter().map(|o| (o.name.clone(), o.value)).collect();
        let (arena_bytes, arena_lower_bound_bytes) = self.plan_arena()?;
        let entry = EntryPoint {
            name: "main".to_string(),
            inputs: self.specs(&inputs)?,
            outputs: self.specs(&outputs)?,
            constraints: self.constraints()?,
            arena_bytes,
            arena_lower_bound_bytes,
            first_step: 0,
            step_count: self.fused.groups.len() as u32,
        };
        self.plan.entry_points.push(entry);
        Ok(())
    }

    fn specs(&mut self, tensors: &[(String, Value)]) -> Result<Vec<TensorSpec>, CompileError> {
        let mut specs = Vec::new();
        for (name, value) in tensors {
            let ty = self.graph.ty(*value).clone();
            let dims = ty.dims.iter().map(|dim| self.expressions.dim(dim)).collect::<Result<_, _>>()?;
            specs.push(TensorSpec { name: name.clone(), dtype: ty.dtype.name().to_string(), dims });
        }
        Ok(specs)
    }

    fn constraints(&mut self) -> Result<Vec<Constraint>, CompileError> {
        let constraints: Vec<_> = self.graph.constraints().cloned().collect();
        let mut result = Vec::new();
        for constraint in constraints {
            let (left, right) = (self.expressions.dim(&constraint.left)?, self.expressions.dim(&constraint.right)?);
            result.push(Constraint { left, right, message: constraint.reason });
        }
        Ok(result)
    }

    /// Places all stored values; gives the expressions for the size of the arena and its lower bound.
    fn plan_arena(&mut self) -> Result<(u32, u32), CompileError> {
        let owners = self.storage.lifetimes();
        let lifetimes: Vec<Lifetime> = owners.iter().map(|(_, lifetime)| lifetime.clone()).collect();
        let plan = plan_memory(&lifetimes);
        self.arena_bytes = typical_bytes(&lifetimes, &plan);
        let ends = self.place(&owners, &lifetimes, &plan)?;
        let bound: Vec<u32> = plan.live.iter().map(|live| self.expressions.dim(live)).collect::<Result<_, _>>()?;
        Ok((self.expressions.largest(&ends)?, self.expressions.largest(&bound)?))
    }

    fn place(
        &mut self,
        owners: &[(Value, Lifetime)],
        lifetimes: &[Lifetime],
        plan: &MemoryPlan,
    ) -> Result<Vec<u32>, CompileError> {
        let mut ends = vec![0; lifetimes.len()];
        for index in &plan.order {
            let below: Vec<u32> = plan.below[*index].iter().map(|other| ends[*other]).collect();
            let offset = self.expressions.largest(&below)?;
            let size = self.expressions.dim(&lifetimes[*index].aligned_size())?;
            ends[*index] = self.expressions.add(offset, size)?;
            let bytes = self.expressions.dim(&lifetimes[*index].size)?;
            self.offsets.insert(owners[*index].0, (offset, bytes));
        }
        Ok(ends)
    }

    fn step(&mut self, group: &Group, variants: &[Variant], writer: &mut Writer<'_>) -> Result<(), CompileError> {
        let label = label(self.graph, group);
        let arguments: Vec<Argument> = group.inputs.iter().map(|value| self.argument(*value)).collect();
        let output = self.output_view(group);
        let scheduled: Vec<Scheduled> =
            variants.iter().map(|variant| schedule(&label, &group.compute, &arguments, &output, &variant.caps)).collect();
        let buffers = self.buffers(group, &scheduled, writer)?;
        for (position, form) in scheduled.into_iter().enumerate() {
            let slow = form.slow.map(|why| format!("{label} ({}): {why}", origins(self.graph, group).join(" ")));
            self.slow.extend(slow.map(|text| (self.plan.steps.len(), text)));
            let dispatch = self.dispatch(position, form.kernel)?;
            self.plan.variants[position].dispatches.push(dispatch);
        }
        let step = Step {
            buffers,
            label,
            nodes: origins(self.graph, group),
            flops: self.expressions.dim(&operations(&group.compute))?,
            bytes: self.expressions.dim(&traffic(&group.compute))?,
        };
        self.plan.steps.push(step);
        Ok(())
    }

    fn argument(&self, value: Value) -> Argument {
        Argument { view: self.storage.view(value), constant: self.graph.as_constant(value).is_some() }
    }

    fn output_view(&self, group: &Group) -> View {
        let view = self.storage.view(group.output);
        View { base: view.index(&group.start), strides: view.strides }
    }

    fn dispatch(&mut self, variant: usize, kernel: Kernel) -> Result<Dispatch, CompileError> {
        let grid = self.expressions.dim(&kernel.grid)?;
        let symbols = kernel.symbols.iter().map(|symbol| self.expressions.dim(&Dim::symbol(symbol))).collect::<Result<_, _>>()?;
        Ok(Dispatch { kernel: self.kernels[variant].add(kernel), grid, symbols, buffers: Vec::new() })
    }

    fn buffers(&mut self, group: &Group, scheduled: &[Scheduled], writer: &mut Writer<'_>) -> Result<Vec<Buffer>, CompileError> {
        let packing = scheduled.first().map(|form| form.packing.clone()).unwrap_or_default();
        if scheduled.iter().any(|form| form.packing != packing) {
            return Err(CompileError::Internal { problem: "variants need different forms of one weight".to_string() });
        }
        let mut buffers = Vec::new();
        for (position, value) in group.inputs.iter().enumerate() {
            let packed = packing.iter().find(|packing| packing.input == position);
            buffers.push(match self.graph.as_constant(*value) {
                Some(tensor) => {
                    let name = weight_name(self.graph, group, *value);
                    let (offset, bytes) = self.weights.add(writer, &name, *value, tensor, packed)?;
                    let (offset, bytes) = (self.expressions.constant(offset), self.expressions.constant(bytes));
                    Buffer { region: Region::Weights.into(), index: 0, offset, bytes }
                }
                None => self.buffer(*value)?,
            });
        }
        buffers.push(self.buffer(group.output)?);
        Ok(buffers)
    }

    /// The memory that holds `value`.
    fn buffer(&mut self, value: Value) -> Result<Buffer, CompileError> {
        let owner = self.storage.owner(value);
        let bytes = self.expressions.dim(&self.graph.ty(owner).byte_count())?;
        let zero = self.expressions.constant(0);
        if let Some(index) = self.graph.inputs().iter().position(|input| *input == owner) {
            return Ok(Buffer { region: Region::Input.into(), index: index as u32, offset: zero, bytes });
        }
        if let Some(index) = self.storage.output_index(owner) {
            return Ok(Buffer { region: Region::Output.into(), index: index as u32, offset: zero, bytes });
        }
        let (offset, bytes) =
            self.offsets.get(&owner).copied().ok_or_else(|| CompileError::Internal {
                problem: format!("{owner:?} ({}) has no storage", self.graph.op(owner)),
            })?;
        Ok(Buffer { region: Region::Arena.into(), index: 0, offset, bytes })
    }

    fn finish(mut self) -> Assembled {
        self.plan.exprs = self.expressions.finish();
        let kernels: Vec<Vec<Kernel>> = self.kernels.into_iter().map(|table| table.kernels).collect();
        for (variant, kernels) in self.plan.variants.iter_mut().zip(&kernels) {
            variant.kernels = kernels.iter().map(|kernel| kernel.name.clone()).collect();
        }
        let slow = self.slow.into_iter().map(|(step, text)| format!("step {step}, {text}")).collect();
        Assembled { plan: self.plan, kernels, arena_bytes: self.arena_bytes, slow }
    }
}

/// The bytes that a placement takes at typical sizes.
fn typical_bytes(lifetimes: &[Lifetime], plan: &MemoryPlan) -> u64 {
    let mut ends = vec![0; lifetimes.len()];
    for index in &plan.order {
        let start = plan.below[*index].iter().map(|other| ends[*other]).max().unwrap_or(0);
        ends[*index] = start + representative(&lifetimes[*index].aligned_size());
    }
    u64::try_from(ends.into_iter().max().unwrap_or(0)).unwrap_or(0)
}

/// The ops of a group in order, as a name.
fn label(graph: &Graph, group: &Group) -> String {
    const LONGEST: usize = 48;
    let ops: Vec<&str> = group.members.iter().map(|value| graph.op(*value).name()).collect();
    let mut label = ops.join("_");
    label.truncate(LONGEST);
    label
}

fn origins(graph: &Graph, group: &Group) -> Vec<String> {
    let mut names: Vec<String> = group.members.iter().flat_map(|value| graph.node(*value).origin.iter().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

fn weight_name(graph: &Graph, group: &Group, value: Value) -> String {
    let own = graph.node(value).origin.iter().next().cloned();
    own.or_else(|| origins(graph, group).into_iter().next()).unwrap_or_else(|| "constant".to_string())
}

/// Arithmetic operations of a compute: each scalar step counts one, at each point where it is evaluated.
fn operations(compute: &Compute) -> Dim {
    let arithmetic = |steps: &[ComputeStep]| {
        let counts =
            |step: &&ComputeStep| matches!(step, ComputeStep::Unary(..) | ComputeStep::Binary(..) | ComputeStep::Select(..));
        Dim::constant(steps.iter().filter(counts).count() as i64)
    };
    let points = product(compute.axes.iter().map(|axis| &axis.extent));
    let reduced = compute.reduction.iter().map(|reduction| {
        let inner = product(reduction.axes.iter().map(|axis| &axis.extent));
        inner * (arithmetic(&reduction.value.steps) + 1.into())
    });
    let per_point = reduced.fold(arithmetic(&compute.result.steps), |total, inner| total + inner);
    points * per_point
}

/// Bytes of all operands and the result, each counted once.
fn traffic(compute: &Compute) -> Dim {
    let types = compute.inputs.iter().chain([&compute.output]);
    types.map(TensorType::byte_count).fold(Dim::default(), |total, bytes| total + bytes)
}
