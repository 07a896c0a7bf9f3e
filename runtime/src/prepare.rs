//! From the plan and the values of its symbols to a table of dispatches.

use crate::bind::Bound;
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

/// The plan of one entry point for one choice of shapes.
pub(crate) struct Shapes {
    pub(crate) inputs: Vec<Vec<usize>>,
    pub(crate) outputs: Vec<Vec<usize>>,
    pub(crate) states: Vec<Vec<usize>>,
    pub(crate) sizes: Sizes,
    pub(crate) requirements: Requirements,
}

/// The bytes of all memory that buffers refer to.
#[derive(Default)]
pub(crate) struct Sizes {
    weights: u64,
    arena: u64,
    inputs: Vec<u64>,
    outputs: Vec<u64>,
    pub(crate) states: Vec<u64>,
}

pub(crate) fn dtype(spec: &TensorSpec) -> Result<DType, RuntimeError> {
    let unknown = || RuntimeError::input(format!("tensor `{}`", spec.name), format!("there is no element type `{}`", spec.dtype));
    DType::from_name(&spec.dtype).ok_or_else(unknown)
}

/// The types of all states.
pub(crate) fn state_specs(plan: &Plan) -> impl Iterator<Item = &TensorSpec> {
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

    pub(crate) fn unsigned(&self, id: u32, what: &str) -> Result<u64, RuntimeError> {
        let value = self.signed(id)?;
        u64::try_from(value).map_err(|_| self.error(format!("{what} is {value}")))
    }

    fn shape(&self, spec: &TensorSpec) -> Result<Vec<usize>, RuntimeError> {
        let size = |dim: &u32| {
            let value = self.unsigned(*dim, &format!("a dimension of `{}`", spec.name))?;
            usize::try_from(value).map_err(|_| self.error(format!("a dimension of `{}` is {value}", spec.name)))
        };
        spec.dims.iter().map(size).collect()
    }

    fn byte_count(&self, spec: &TensorSpec, shape: &[usize]) -> Result<u64, RuntimeError> {
        let bytes = dtype(spec)?.byte_count(shape).filter(|bytes| isize::try_from(*bytes).is_ok());
        let impossible = || self.error(format!("`{}` would be {}{shape:?}", spec.name, spec.dtype));
        bytes.map(|bytes| bytes as u64).ok_or_else(impossible)
    }

    fn tensors<'b>(&self, specs: impl Iterator<Item = &'b TensorSpec>) -> Result<(Vec<Vec<usize>>, Vec<u64>), RuntimeError> {
        let (mut shapes, mut bytes) = (Vec::new(), Vec::new());
        for spec in specs {
            let shape = self.shape(spec)?;
            bytes.push(self.byte_count(spec, &shape)?);
            shapes.push(shape);
        }
        Ok((shapes, bytes))
    }

    /// Shapes and sizes of the states.
    pub(crate) fn states(&self) -> Result<(Vec<Vec<usize>>, Vec<u64>), RuntimeError> {
        self.tensors(state_specs(self.plan))
    }

    /// Shapes and sizes of everything.
    pub(crate) fn shapes(&self) -> Result<Shapes, RuntimeError> {
        let (inputs, input_bytes) = self.tensors(self.entry.inputs.iter())?;
        let (outputs, output_bytes) = self.tensors(self.entry.outputs.iter())?;
        let (states, state_bytes) = self.states()?;
        let arena = self.unsigned(self.entry.arena_bytes, "the size of the working memory")?;
        let requirements = Requirements {
            arena_bytes: arena,
            arena_lower_bound_bytes: self
                .unsigned(self.entry.arena_lower_bound_bytes, "the lower bound of the working memory")?,
            input_bytes: total(&input_bytes),
            output_bytes: total(&output_bytes),
            state_bytes: total(&state_bytes),
            weight_bytes: self.weight_bytes,
        };
        let sizes = Sizes { weights: self.weight_bytes, arena, inputs: input_bytes, outputs: output_bytes, states: state_bytes };
        Ok(Shapes { inputs, outputs, states, sizes, requirements })
    }

    /// The dispatches of a variant with the sizes of all memory.
    pub(crate) fn prepared(&self, variant: &Variant, sizes: &Sizes) -> Result<api::Prepared, RuntimeError> {
        let range = step_range(self.entry);
        let steps = self.plan.steps.get(range.clone()).unwrap_or_default();
        let dispatches = variant.dispatches.get(range).unwrap_or_default();
        let dispatches = steps.iter().zip(dispatches).map(|(step, dispatch)| self.dispatch(step, dispatch, sizes));
        Ok(api::Prepared {
            arena_bytes: sizes.arena,
            state_bytes: sizes.states.clone(),
            input_bytes: sizes.inputs.clone(),
            output_bytes: sizes.outputs.clone(),
            dispatches: dispatches.collect::<Result<_, _>>()?,
        })
    }

    fn dispatch(&self, step: &Step, dispatch: &Dispatch, sizes: &Sizes) -> Result<api::Dispatch, RuntimeError> {
        let buffers = if dispatch.buffers.is_empty() { &step.buffers } else { &dispatch.buffers };
        Ok(api::Dispatch {
            kernel: dispatch.kernel,
            buffers: buffers.iter().map(|buffer| self.buffer(step, buffer, sizes)).collect::<Result<_, _>>()?,
            symbols: dispatch.symbols.iter().map(|id| self.signed(*id)).collect::<Result<_, _>>()?,
            grid: self.unsigned(dispatch.grid, &format!("the grid of step `{}`", step.label))?,
        })
    }

    fn buffer(&self, step: &Step, buffer: &Buffer, sizes: &Sizes) -> Result<api::BufferRef, RuntimeError> {
        let offset = self.unsigned(buffer.offset, &format!("an offset in step `{}`", step.label))?;
        let bytes = self.unsigned(buffer.bytes, &format!("a size in step `{}`", step.label))?;
        let located =
            locate(buffer, sizes).filter(|(_, available)| offset.checked_add(bytes).is_some_and(|end| end <= *available));
        let outside =
            || self.error(format!("step `{}` uses {bytes} bytes at {offset}, which are outside of their memory", step.label));
        located.map(|(region, _)| api::BufferRef { region, offset, bytes }).ok_or_else(outside)
    }
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

fn locate(buffer: &Buffer, sizes: &Sizes) -> Option<(api::Region, u64)> {
    let size = |sizes: &[u64]| sizes.get(buffer.index as usize).copied();
    match Region::try_from(buffer.region).ok()? {
        Region::Weights => Some((api::Region::Weights, sizes.weights)),
        Region::Arena => Some((api::Region::Arena, sizes.arena)),
        Region::Input => Some((api::Region::Input(buffer.index), size(&sizes.inputs)?)),
        Region::Output => Some((api::Region::Output(buffer.index), size(&sizes.outputs)?)),
        Region::State => Some((api::Region::State(buffer.index), size(&sizes.states)?)),
        Region::Unspecified => None,
    }
}
