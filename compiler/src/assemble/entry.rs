//! One entry point of a plan.

use super::storage::{self, Given, Storage};
use super::work::{operations, traffic};
use super::{Assembler, limits};
use crate::error::CompileError;
use lostwax_format::{Buffer, Constraint, Dispatch, EntryPoint, Region, Step, TensorSpec, Writer};
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::kernel::Kernel;
use lostwax_passes::fuse::{Fused, Group};
use lostwax_passes::plan_memory::{Lifetime, MemoryPlan, plan_memory};
use lostwax_passes::schedule::{Argument, Scheduled, View, schedule};
use lostwax_target_api::Variant;
use std::collections::BTreeMap;

/// Adds one graph to a plan.
pub(super) struct EntryAssembler<'a> {
    shared: &'a mut Assembler,
    name: &'a str,
    graph: &'a Graph,
    fused: &'a Fused,
    storage: &'a Storage<'a>,
    /// The positions in the plan of the graph's states.
    states: Vec<u32>,
    /// Arena offsets by the value that owns the memory: expression and bytes.
    offsets: BTreeMap<Value, (u32, u32)>,
}

impl<'a> EntryAssembler<'a> {
    pub(super) fn new(
        shared: &'a mut Assembler,
        name: &'a str,
        graph: &'a Graph,
        fused: &'a Fused,
        storage: &'a Storage<'a>,
    ) -> Result<Self, CompileError> {
        let mut entry = Self { shared, name, graph, fused, storage, states: Vec::new(), offsets: BTreeMap::new() };
        for value in storage::states(graph) {
            let spec = entry.spec(graph.input_name(value), value)?;
            entry.states.push(entry.shared.state(name, spec)?);
        }
        Ok(entry)
    }

    pub(super) fn assemble(&mut self, writer: &mut Writer<'_>) -> Result<(), CompileError> {
        self.entry_point()?;
        self.fused.groups.iter().try_for_each(|group| self.step(group, writer))
    }

    fn entry_point(&mut self) -> Result<(), CompileError> {
        let (arena_bytes, arena_lower_bound_bytes) = self.plan_arena()?;
        let graph = self.graph;
        let entry = EntryPoint {
            name: self.name.to_string(),
            inputs: storage::inputs(graph).map(|value| self.spec(graph.input_name(value), value)).collect::<Result<_, _>>()?,
            outputs: storage::outputs(graph).map(|output| self.spec(&output.name, output.value)).collect::<Result<_, _>>()?,
            constraints: self.constraints()?,
            arena_bytes,
            arena_lower_bound_bytes,
            first_step: self.shared.plan.steps.len() as u32,
            step_count: self.fused.groups.len() as u32,
        };
        self.shared.plan.entry_points.push(entry);
        Ok(())
    }

    fn spec(&mut self, name: &str, value: Value) -> Result<TensorSpec, CompileError> {
        let ty = self.graph.ty(value);
        let dims = ty.dims.iter().map(|dim| self.shared.expressions.dim(dim)).collect::<Result<_, _>>()?;
        Ok(TensorSpec { name: name.to_string(), dtype: ty.dtype.name().to_string(), dims })
    }

    fn constraints(&mut self) -> Result<Vec<Constraint>, CompileError> {
        let mut result = Vec::new();
        for constraint in self.graph.constraints().cloned().chain(limits::limits(self.graph)) {
            let (left, right) = (self.shared.expressions.dim(&constraint.left)?, self.shared.expressions.dim(&constraint.right)?);
            result.push(Constraint { left, right, message: constraint.reason });
        }
        Ok(result)
    }

    /// Places all stored values; gives the expressions for the size of the arena and its lower bound.
    fn plan_arena(&mut self) -> Result<(u32, u32), CompileError> {
        let owners = self.storage.lifetimes();
        let lifetimes: Vec<Lifetime> = owners.iter().map(|(_, lifetime)| lifetime.clone()).collect();
        let plan = plan_memory(&lifetimes);
        let ends = self.place(&owners, &lifetimes, &plan)?;
        let bound: Vec<u32> = plan.live.iter().map(|live| self.shared.expressions.dim(live)).collect::<Result<_, _>>()?;
        Ok((self.shared.expressions.largest(&ends)?, self.shared.expressions.largest(&bound)?))
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
            let offset = self.shared.expressions.largest(&below)?;
            let size = self.shared.expressions.dim(&lifetimes[*index].aligned_size())?;
            ends[*index] = self.shared.expressions.add(offset, size)?;
            let bytes = self.shared.expressions.dim(&lifetimes[*index].size)?;
            self.offsets.insert(owners[*index].0, (offset, bytes));
        }
        Ok(ends)
    }

    fn step(&mut self, group: &Group, writer: &mut Writer<'_>) -> Result<(), CompileError> {
        let (label, nodes) = (label(self.graph, group), origins(self.graph, group));
        let arguments: Vec<Argument> = group.inputs.iter().map(|value| self.argument(*value)).collect();
        let output = self.output_view(group);
        let form = |variant: &Variant| schedule(&label, &group.compute, &arguments, &output, &variant.caps);
        let scheduled: Vec<Scheduled> = self.shared.variants.iter().map(form).collect();
        let buffers = self.buffers(group, &scheduled, writer)?;
        for (position, form) in scheduled.into_iter().enumerate() {
            let slow = form.slow.map(|why| format!("{label} ({}): {why}", nodes.join(" ")));
            self.shared.slow.extend(slow.map(|text| (self.shared.plan.steps.len(), text)));
            let dispatch = self.dispatch(position, form.kernel)?;
            self.shared.plan.variants[position].dispatches.push(dispatch);
        }
        let constant =
            |input: u32| group.inputs.get(input as usize).is_some_and(|value| self.graph.as_constant(*value).is_some());
        let flops = self.shared.expressions.dim(&operations(&group.compute, &constant))?;
        let bytes = self.shared.expressions.dim(&traffic(&group.compute))?;
        self.shared.plan.steps.push(Step { buffers, label, nodes, flops, bytes });
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
        let grid = self.shared.expressions.dim(&kernel.grid)?;
        let symbols =
            kernel.symbols.iter().map(|symbol| self.shared.expressions.dim(&Dim::symbol(symbol))).collect::<Result<_, _>>()?;
        Ok(Dispatch { kernel: self.shared.kernels[variant].add(kernel), grid, symbols, buffers: Vec::new() })
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
                    let (offset, bytes) = self.shared.weights.add(writer, &name, tensor, packed)?;
                    let (offset, bytes) = (self.shared.expressions.constant(offset), self.shared.expressions.constant(bytes));
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
        let bytes = self.shared.expressions.dim(&self.graph.ty(owner).byte_count())?;
        let zero = self.shared.expressions.constant(0);
        if let Some(given) = self.storage.given(owner) {
            let (region, index) = match given {
                Given::Input(index) => (Region::Input, index as u32),
                Given::Output(index) => (Region::Output, index as u32),
                Given::State(index) => (Region::State, self.states.get(index).copied().unwrap_or(u32::MAX)),
            };
            return Ok(Buffer { region: region.into(), index, offset: zero, bytes });
        }
        let (offset, bytes) =
            self.offsets.get(&owner).copied().ok_or_else(|| CompileError::Internal {
                problem: format!("{owner:?} ({}) has no storage", self.graph.op(owner)),
            })?;
        Ok(Buffer { region: Region::Arena.into(), index: 0, offset, bytes })
    }
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
