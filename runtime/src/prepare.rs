//! From the plan and the values of its symbols to a table of dispatches.

use crate::bind::Bound;
use crate::expr::reachable;
use crate::{DType, RuntimeError};
use lostwax_format::{Buffer, Dispatch, EntryPoint, Plan, Region, State, Step, TensorSpec, Variant};
use lostwax_target_api as api;

/// What a run takes, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Working memory.
    pub arena_bytes: u64,
    /// The largest set of buffers that live at once: no plan can do with less working memory.
    pub arena_lower_bound_bytes: u64,
    /// All inputs together.
    pub input_bytes: u64,
    /// All outputs together.
    pub output_bytes: u64,
    /// All states together.
    pub state_bytes: u64,
    /// The weights, which all sessions share.
    pub weight_bytes: u64,
}

impl Requirements {
    /// What one more session allocates: working memory, states and outputs.
    pub fn session_bytes(&self) -> u64 {
        self.arena_bytes.saturating_add(self.state_bytes).saturating_add(self.output_bytes)
    }
}

/// The plan of one entry point for one choice of shapes. Evaluating anew uses the memory of the last time.
#[derive(Default)]
pub(crate) struct Shapes {
    pub(crate) inputs: Vec<Vec<usize>>,
    pub(crate) outputs: Vec<Vec<usize>>,
    pub(crate) states: Vec<Vec<usize>>,
    pub(crate) requirements: Requirements,
}

pub(crate) fn dtype(spec: &TensorSpec) -> Result<DType, RuntimeError> {
    let unknown = || RuntimeError::input(format!("tensor `{}`", spec.name), format!("there is no element type `{}`", spec.dtype));
    DType::from_name(&spec.dtype).ok_or_else(unknown)
}

/// The types of all states.
pub(crate) fn state_specs(plan: &Plan) -> impl Iterator<Item = &TensorSpec> + Clone {
    plan.states.iter().filter_map(|State { tensor, .. }| tensor.as_ref())
}

/// Evaluates what a plan says about one entry point.
pub(crate) struct Evaluator<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) entry: &'a EntryPoint,
    pub(crate) bound: &'a Bound,
    pub(crate) weight_bytes: u64,
}

impl Evaluator<'_> {
    fn error(&self, problem: String) -> RuntimeError {
        RuntimeError::InvalidPlan { entry_point: self.entry.name.clone(), problem }
    }

    fn signed(&self, id: u32) -> Result<i64, RuntimeError> {
        self.bound.value(self.plan, self.entry, id)
    }

    pub(crate) fn unsigned(&self, id: u32, what: impl FnOnce() -> String) -> Result<u64, RuntimeError> {
        let value = self.signed(id)?;
        u64::try_from(value).map_err(|_| self.error(format!("{} is {value}", what())))
    }

    fn shape(&self, spec: &TensorSpec, shape: &mut Vec<usize>) -> Result<(), RuntimeError> {
        shape.clear();
        for dim in &spec.dims {
            let value = self.signed(*dim)?;
            let size = usize::try_from(value).map_err(|_| self.error(format!("a dimension of `{}` is {value}", spec.name)))?;
            shape.push(size);
        }
        Ok(())
    }

    fn byte_count(&self, spec: &TensorSpec, shape: &[usize]) -> Result<u64, RuntimeError> {
        let bytes = dtype(spec)?.byte_count(shape).filter(|bytes| isize::try_from(*bytes).is_ok());
        let impossible = || self.error(format!("`{}` would be {}{shape:?}", spec.name, spec.dtype));
        bytes.map(|bytes| bytes as u64).ok_or_else(impossible)
    }

    fn tensors<'b>(
        &self,
        specs: impl Iterator<Item = &'b TensorSpec> + Clone,
        shapes: &mut Vec<Vec<usize>>,
        bytes: &mut Vec<u64>,
    ) -> Result<(), RuntimeError> {
        shapes.resize_with(specs.clone().count(), Vec::new);
        bytes.clear();
        for (spec, shape) in specs.zip(shapes) {
            self.shape(spec, shape)?;
            bytes.push(self.byte_count(spec, shape)?);
        }
        Ok(())
    }

    /// Shapes and sizes of the states.
    pub(crate) fn states(&self, shapes: &mut Vec<Vec<usize>>, bytes: &mut Vec<u64>) -> Result<(), RuntimeError> {
        self.tensors(state_specs(self.plan), shapes, bytes)
    }

    /// Shapes of everything, and the sizes of all memory.
    pub(crate) fn shapes(&self, shapes: &mut Shapes, sizes: &mut api::Prepared) -> Result<(), RuntimeError> {
        self.tensors(self.entry.inputs.iter(), &mut shapes.inputs, &mut sizes.input_bytes)?;
        self.tensors(self.entry.outputs.iter(), &mut shapes.outputs, &mut sizes.output_bytes)?;
        self.states(&mut shapes.states, &mut sizes.state_bytes)?;
        sizes.arena_bytes = self.unsigned(self.entry.arena_bytes, || "the size of the working memory".into())?;
        let bound = || "the lower bound of the working memory".into();
        shapes.requirements = Requirements {
            arena_bytes: sizes.arena_bytes,
            arena_lower_bound_bytes: self.unsigned(self.entry.arena_lower_bound_bytes, bound)?,
            input_bytes: total(&sizes.input_bytes),
            output_bytes: total(&sizes.output_bytes),
            state_bytes: total(&sizes.state_bytes),
            weight_bytes: self.weight_bytes,
        };
        Ok(())
    }

    /// What a run takes.
    pub(crate) fn requirements(&self) -> Result<Requirements, RuntimeError> {
        let mut shapes = Shapes::default();
        self.shapes(&mut shapes, &mut api::Prepared::default())?;
        Ok(shapes.requirements)
    }

    /// The dispatches of a variant, for memory of the sizes in `prepared`.
    pub(crate) fn dispatches(&self, variant: &Variant, prepared: &mut api::Prepared) -> Result<(), RuntimeError> {
        let range = step_range(self.entry);
        let steps = self.plan.steps.get(range.clone()).unwrap_or_default();
        let dispatches = variant.dispatches.get(range).unwrap_or_default();
        let mut table = std::mem::take(&mut prepared.dispatches);
        table.resize_with(steps.len().min(dispatches.len()), api::Dispatch::default);
        let mut entries = steps.iter().zip(dispatches).zip(&mut table);
        let filled = entries.try_for_each(|((step, dispatch), entry)| self.dispatch(step, dispatch, prepared, entry));
        prepared.dispatches = table;
        filled
    }

    fn dispatch(
        &self,
        step: &Step,
        dispatch: &Dispatch,
        sizes: &api::Prepared,
        entry: &mut api::Dispatch,
    ) -> Result<(), RuntimeError> {
        entry.kernel = dispatch.kernel;
        entry.grid = self.unsigned(dispatch.grid, || format!("the grid of step `{}`", step.label))?;
        entry.symbols.clear();
        for id in &dispatch.symbols {
            entry.symbols.push(self.signed(*id)?);
        }
        entry.buffers.clear();
        for buffer in if dispatch.buffers.is_empty() { &step.buffers } else { &dispatch.buffers } {
            entry.buffers.push(self.buffer(step, buffer, sizes)?);
        }
        Ok(())
    }

    fn buffer(&self, step: &Step, buffer: &Buffer, sizes: &api::Prepared) -> Result<api::BufferRef, RuntimeError> {
        let offset = self.unsigned(buffer.offset, || format!("an offset in step `{}`", step.label))?;
        let bytes = self.unsigned(buffer.bytes, || format!("a size in step `{}`", step.label))?;
        let located = self.locate(buffer, sizes);
        let located = located.filter(|(_, available)| offset.checked_add(bytes).is_some_and(|end| end <= *available));
        let outside =
            || self.error(format!("step `{}` uses {bytes} bytes at {offset}, which are outside of their memory", step.label));
        located.map(|(region, _)| api::BufferRef { region, offset, bytes }).ok_or_else(outside)
    }

    /// The memory of a buffer, and its size.
    fn locate(&self, buffer: &Buffer, sizes: &api::Prepared) -> Option<(api::Region, u64)> {
        let size = |sizes: &[u64]| sizes.get(buffer.index as usize).copied();
        match Region::try_from(buffer.region).ok()? {
            Region::Weights => Some((api::Region::Weights, self.weight_bytes)),
            Region::Arena => Some((api::Region::Arena, sizes.arena_bytes)),
            Region::Input => Some((api::Region::Input(buffer.index), size(&sizes.input_bytes)?)),
            Region::Output => Some((api::Region::Output(buffer.index), size(&sizes.output_bytes)?)),
            Region::State => Some((api::Region::State(buffer.index), size(&sizes.state_bytes)?)),
            Region::Unspecified => None,
        }
    }
}

/// The expressions that a run of an entry point needs, with all that they depend on, in order.
pub(crate) fn needed(plan: &Plan, entry: &EntryPoint, variant: &Variant) -> Vec<u32> {
    let range = step_range(entry);
    let steps = plan.steps.get(range.clone()).unwrap_or_default().iter().flat_map(|step| &step.buffers);
    let dispatches = variant.dispatches.get(range).unwrap_or_default();
    let own = dispatches.iter().flat_map(|dispatch| &dispatch.buffers);
    let buffers = steps.chain(own).flat_map(|buffer| [buffer.offset, buffer.bytes]);
    let values = dispatches.iter().flat_map(|dispatch| dispatch.symbols.iter().copied().chain([dispatch.grid]));
    let specs = entry.inputs.iter().chain(&entry.outputs).chain(state_specs(plan)).flat_map(|spec| spec.dims.iter().copied());
    let limits = entry.constraints.iter().flat_map(|constraint| [constraint.left, constraint.right]);
    let arena = [entry.arena_bytes, entry.arena_lower_bound_bytes];
    reachable(&plan.exprs, buffers.chain(values).chain(specs).chain(limits).chain(arena))
}

/// The positions of the steps of an entry point.
pub(crate) fn step_range(entry: &EntryPoint) -> std::ops::Range<usize> {
    let first = entry.first_step as usize;
    first..first.saturating_add(entry.step_count as usize)
}

/// The sum, or the largest integer.
pub(crate) fn total(bytes: &[u64]) -> u64 {
    bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
}
