//! The states of a session.

use crate::prepare::{dtype, state_specs};
use crate::{Model, RuntimeError, TensorView};
use lostwax_format::{Plan, TensorSpec};
use lostwax_target_api::{DeviceError, Executor};

/// The shapes that the states have in the executor.
#[derive(Default)]
pub(crate) struct States {
    shapes: Vec<Vec<usize>>,
    bytes: Vec<u64>,
}

impl States {
    /// Whether the executor has them.
    pub(crate) fn exist(&self) -> bool {
        !self.shapes.is_empty()
    }

    pub(crate) fn find(plan: &Plan, name: &str) -> Result<usize, RuntimeError> {
        let unknown = || {
            let known: Vec<&str> = state_specs(plan).map(|spec| spec.name.as_str()).collect();
            RuntimeError::input(format!("state `{name}`"), format!("there is no such state; there are {known:?}"))
        };
        state_specs(plan).position(|spec| spec.name == name).ok_or_else(unknown)
    }

    /// Takes over what the executor was prepared for, and starts the states whose size is new.
    pub(crate) fn fit(
        &mut self,
        executor: &mut dyn Executor,
        model: &Model,
        shapes: &[Vec<usize>],
        bytes: &[u64],
    ) -> Result<(), RuntimeError> {
        if self.shapes == shapes && self.bytes == bytes {
            return Ok(());
        }
        let old = std::mem::take(self);
        for (position, bytes) in bytes.iter().enumerate() {
            if old.bytes.get(position) != Some(bytes) && has_contents(model, position) {
                start(executor, model, position)?;
            }
        }
        *self = Self { shapes: shapes.to_vec(), bytes: bytes.to_vec() };
        Ok(())
    }

    pub(crate) fn reset(&self, executor: &mut dyn Executor, model: &Model) -> Result<(), RuntimeError> {
        (0..self.bytes.len()).try_for_each(|position| start(executor, model, position))
    }

    pub(crate) fn view<'a>(
        &'a self,
        executor: &'a mut dyn Executor,
        plan: &Plan,
        position: usize,
    ) -> Result<TensorView<'a>, RuntimeError> {
        let (spec, shape) = self.spec(plan, position)?;
        TensorView::with_dtype(dtype(spec)?, shape, memory(executor, position)?)
    }

    pub(crate) fn set(
        &self,
        executor: &mut dyn Executor,
        plan: &Plan,
        position: usize,
        value: TensorView<'_>,
    ) -> Result<(), RuntimeError> {
        let (spec, shape) = self.spec(plan, position)?;
        let memory = memory(executor, position)?;
        if value.dtype().name() != spec.dtype || value.shape() != shape || value.bytes().len() != memory.len() {
            let problem = format!("is {}{shape:?}, not {value:?}", spec.dtype);
            return Err(RuntimeError::input(format!("state `{}`", spec.name), problem));
        }
        memory.copy_from_slice(value.bytes());
        Ok(())
    }

    fn spec<'b>(&self, plan: &'b Plan, position: usize) -> Result<(&'b TensorSpec, &[usize]), RuntimeError> {
        let found = state_specs(plan).nth(position).zip(self.shapes.get(position));
        let (spec, shape) = found.ok_or_else(|| RuntimeError::input("state", "it has no shape yet"))?;
        Ok((spec, shape))
    }
}

fn memory(executor: &mut dyn Executor, position: usize) -> Result<&mut [u8], RuntimeError> {
    Ok(executor.state(position)?)
}

/// Whether a state starts as something else than the zeros that devices give.
fn has_contents(model: &Model, position: usize) -> bool {
    model.artifact().plan().states.get(position).is_some_and(|state| state.initial_weight.is_some())
}

/// Gives a state the contents that it has at the start.
fn start(executor: &mut dyn Executor, model: &Model, position: usize) -> Result<(), RuntimeError> {
    let memory = memory(executor, position)?;
    let plan = model.artifact().plan();
    let weight = plan.states.get(position).and_then(|state| state.initial_weight);
    let Some(weight) = weight.and_then(|weight| plan.weights.get(weight as usize)) else {
        memory.fill(0);
        return Ok(());
    };
    let first = model.artifact().weights().start.saturating_add(weight.offset as usize);
    let contents = model.file_bytes().get(first..first.saturating_add(weight.bytes as usize)).unwrap_or_default();
    if contents.len() != memory.len() {
        let problem = format!("a state of {} bytes starts as `{}`, which has {}", memory.len(), weight.name, contents.len());
        return Err(DeviceError::InvalidPlan { problem }.into());
    }
    memory.copy_from_slice(contents);
    Ok(())
}
