mod on_device;

use crate::bind::{Bound, bind_all, give, given_symbols};
use crate::prepare::{Evaluator, Shapes, dtype, needed, step_range, total};
use crate::state::States;
use crate::{DType, Device, Input, Model, Options, Outputs, Requirements, RuntimeError, Tensor, TensorView};
use bytesize::ByteSize;
use lostwax_format::{EntryPoint, TensorSpec, Variant};
use lostwax_target_api::{Executor, Io, Prepared, Program};
use std::sync::Arc;

/// How many inputs or outputs a run hands on without allocating.
const FEW: usize = 32;

/// Working memory, threads and states of one user of a model.
pub struct Session {
    model: Model,
    device: Device,
    variant: usize,
    /// The variant with the dispatches that it leaves to another device.
    merged: Option<Variant>,
    max_memory: Option<u64>,
    /// Values of symbols that the user gave.
    given: Vec<Option<i64>>,
    entry: usize,
    executor: Box<dyn Executor>,
    states: States,
    /// By entry point, for those that were used.
    ready: Vec<Option<Box<Ready>>>,
    /// The entry point that the executor is prepared for, at the shapes that it is ready for.
    prepared: Option<usize>,
}

/// One entry point at the shapes that it was used with last.
#[derive(Default)]
struct Ready {
    /// The expressions that a run needs.
    needed: Vec<u32>,
    given: Vec<Option<i64>>,
    bound: Bound,
    shapes: Shapes,
    prepared: Prepared,
    /// Whether the rest belongs to one choice of shapes.
    is_complete: bool,
}

/// What one step of a run took.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProfile {
    /// The step.
    pub label: String,
    /// The nodes of the source model that it computes.
    pub nodes: Vec<String>,
    /// The kernel that it ran.
    pub kernel: String,
    /// The device family that ran it.
    pub device: String,
    /// Mean time of one run.
    pub seconds: f64,
    /// Arithmetic operations.
    pub flops: u64,
    /// Bytes read and written.
    pub bytes: u64,
}

impl Model {
    /// A session with the default options.
    ///
    /// # Errors
    /// [`RuntimeError::UnsupportedDevice`] if the file has no code for the device, and what the device reports.
    pub fn session(&self, device: impl Into<Device>) -> Result<Session, RuntimeError> {
        self.session_with(device, Options::default())
    }

    /// A session.
    ///
    /// # Errors
    /// As [`Model::session`], and [`RuntimeError::InvalidInput`] if the options do not fit the model.
    pub fn session_with(&self, device: impl Into<Device>, options: Options) -> Result<Session, RuntimeError> {
        let device = device.into();
        let variant = self.select(&device)?;
        let program = self.program(&device, variant)?;
        match self.artifact().plan().variants.get(variant) {
            Some(own) if !own.fallback_steps.is_empty() => {
                let (merged, program) = self.with_fallback(&device, own, program)?;
                Session::new(self.clone(), device, (variant, Some(merged)), program, options)
            }
            Some(_) | None => Session::new(self.clone(), device, (variant, None), program, options),
        }
    }
}

impl Session {
    fn new(
        model: Model,
        device: Device,
        (variant, merged): (usize, Option<Variant>),
        program: Arc<dyn Program>,
        options: Options,
    ) -> Result<Self, RuntimeError> {
        let entry = model.entry_point(options.entry_point.as_deref())?.0;
        let plan = model.artifact().plan();
        let given = given_symbols(plan, &options.bindings)?;
        let ready = plan.entry_points.iter().map(|_| None).collect();
        let (executor, max_memory) = (program.executor(options.threads)?, options.max_memory);
        let states = States::default();
        Ok(Self { model, device, variant, merged, max_memory, given, entry, executor, states, ready, prepared: None })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The device that runs it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The name of the variant whose code this session runs.
    pub fn variant(&self) -> &str {
        self.model.variants().get(self.variant).map_or("", |variant| &variant.name)
    }

    /// Chooses the entry point that the next runs call. States stay as they are.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such entry point.
    pub fn set_entry_point(&mut self, name: &str) -> Result<(), RuntimeError> {
        self.entry = self.model.entry_point(Some(name))?.0;
        Ok(())
    }

    /// Sets the value of a symbol that no input determines, for all following runs; overrides [`Options::bindings`]. States stay
    /// as they are, except that those whose size depends on the symbol are reset.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such symbol or the value is out of its range; the old value stays then.
    pub fn bind(&mut self, symbol: &str, value: i64) -> Result<(), RuntimeError> {
        give(self.model.artifact().plan(), &mut self.given, symbol, value)
    }

    /// Runs the model on inputs by name, in any order.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if inputs are missing or do not fit, [`RuntimeError::LimitExceeded`] if they need too much
    /// memory, and what the device reports.
    pub fn run<'a, N: AsRef<str>, V: Into<TensorView<'a>>>(
        &mut self,
        inputs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Outputs, RuntimeError> {
        let inputs: Vec<(N, TensorView<'a>)> = inputs.into_iter().map(|(name, view)| (name, view.into())).collect();
        let mut outputs = Outputs::new();
        self.run_into(&inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// Runs the model and reuses the memory of earlier results. Allocates nothing if the shapes are unchanged.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_into<N: AsRef<str>>(&mut self, inputs: &[(N, TensorView<'_>)], outputs: &mut Outputs) -> Result<(), RuntimeError> {
        self.run_with(inputs, outputs, |executor, io| executor.run(io))
    }

    /// Runs the model step by step; `watch` is called before each step with the number of finished steps and of all steps. Slower
    /// than [`Session::run`]; for progress reports on slow devices. On devices that cannot stop between steps it is called once.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_with_progress<N: AsRef<str>>(
        &mut self,
        inputs: &[(N, TensorView<'_>)],
        watch: &mut dyn FnMut(usize, usize),
    ) -> Result<Outputs, RuntimeError> {
        let (steps, mut outputs) = (self.entry_point()?.step_count as usize, Outputs::new());
        self.run_with(inputs, &mut outputs, |executor, io| {
            watch(0, steps);
            let Some(parts) = executor.partial() else { return executor.run(io) };
            for step in 0..steps {
                watch(step, steps);
                parts.run_range(step..step + 1, io, None)?;
            }
            (0..io.outputs.len()).try_for_each(|output| parts.deliver(output as u32, io))
        })?;
        Ok(outputs)
    }

    /// Runs the model `runs` times and returns the time of each step.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile<N: AsRef<str>>(
        &mut self,
        inputs: &[(N, TensorView<'_>)],
        runs: usize,
    ) -> Result<Vec<StepProfile>, RuntimeError> {
        let mut outputs = Outputs::new();
        self.run_into(inputs, &mut outputs)?;
        let mut seconds = vec![0.0; self.entry_point()?.step_count as usize];
        for _ in 0..runs {
            self.run_with(inputs, &mut outputs, |executor, io| executor.run_profiled(io, &mut seconds))?;
        }
        let scale = 1.0 / runs.max(1) as f64;
        self.step_profiles(&seconds.iter().map(|seconds| seconds * scale).collect::<Vec<_>>())
    }

    /// Bytes that the last run copied between devices, where the code leaves steps to another one; 0 otherwise.
    pub fn copied_bytes(&self) -> u64 {
        self.executor.copied_bytes()
    }

    /// Allocates and prepares all that a run with inputs of these shapes needs, so that the first run is as fast as the others.
    /// Shapes are in the order of the entry point.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn prepare(&mut self, shapes: &[&[usize]]) -> Result<&Requirements, RuntimeError> {
        let count = self.entry_point()?.inputs.len();
        if shapes.len() != count {
            return Err(RuntimeError::input("shapes", format!("there are {} for {count} inputs", shapes.len())));
        }
        self.make_ready(shapes)?;
        Ok(&self.current()?.shapes.requirements)
    }

    /// The contents of a state.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such state, or its size depends on inputs and there was no run yet.
    pub fn state(&mut self, name: &str) -> Result<TensorView<'_>, RuntimeError> {
        let position = self.find_state(name)?;
        self.states.view(&mut *self.executor, self.model.artifact().plan(), position)
    }

    /// Replaces the contents of a state.
    ///
    /// # Errors
    /// As [`Session::state`], and [`RuntimeError::InvalidInput`] if the tensor is of another type or shape.
    pub fn set_state<'a>(&mut self, name: &str, value: impl Into<TensorView<'a>>) -> Result<(), RuntimeError> {
        let position = self.find_state(name)?;
        self.states.set(&mut *self.executor, self.model.artifact().plan(), position, value.into())
    }

    /// Sets all states to what they are in a new session.
    ///
    /// # Errors
    /// [`RuntimeError::Device`] if the device does not give them.
    pub fn reset_states(&mut self) -> Result<(), RuntimeError> {
        self.states.reset(&mut *self.executor, &self.model)
    }

    fn entry_point(&self) -> Result<&EntryPoint, RuntimeError> {
        entry_point(&self.model, self.entry)
    }

    fn find_state(&mut self, name: &str) -> Result<usize, RuntimeError> {
        let position = States::find(self.model.artifact().plan(), name)?;
        if !self.states.exist() {
            self.prepare_states()?;
        }
        Ok(position)
    }

    /// Makes the states before there are inputs, which works if no size depends on them.
    fn prepare_states(&mut self) -> Result<(), RuntimeError> {
        let (plan, entry) = (self.model.artifact().plan(), self.entry_point()?);
        let unbound =
            EntryPoint { name: entry.name.clone(), arena_bytes: 0, arena_lower_bound_bytes: 0, ..EntryPoint::default() };
        let mut bound = Bound::default();
        bound.bind(plan, &unbound, &needed(plan, &unbound, &Variant::default()), &self.given, &[])?;
        let (mut shapes, mut prepared) = (Vec::new(), Prepared::default());
        let evaluator = Evaluator { plan, entry: &unbound, bound: &bound, weight_bytes: self.model.weight_bytes() };
        evaluator.states(&mut shapes, &mut prepared.state_bytes)?;
        self.check_memory(&Requirements { state_bytes: total(&prepared.state_bytes), ..Requirements::default() })?;
        self.prepared = None;
        self.executor.prepare(&prepared)?;
        self.states.fit(&mut *self.executor, &self.model, &shapes, &prepared.state_bytes)
    }

    fn current(&self) -> Result<&Ready, RuntimeError> {
        let ready = self.ready.get(self.entry).and_then(Option::as_deref);
        ready.ok_or_else(|| RuntimeError::input("session", "it has no shapes yet"))
    }

    fn run_with<N: AsRef<str>>(
        &mut self,
        inputs: &[(N, TensorView<'_>)],
        outputs: &mut Outputs,
        run: impl FnOnce(&mut dyn Executor, &mut Io<'_>) -> Result<(), lostwax_target_api::DeviceError>,
    ) -> Result<(), RuntimeError> {
        check_inputs(self.entry_point()?, inputs)?;
        if !self.is_ready_for(inputs) {
            let (mut few, mut many) = (Default::default(), Vec::new());
            let entry = self.entry_point()?;
            let shapes = collect(in_order(entry, inputs).map(|view| view.shape()), entry.inputs.len(), &mut few, &mut many);
            self.make_ready(shapes)?;
        }
        let Self { model, entry: position, executor, ready, .. } = self;
        let entry = entry_point(model, *position)?;
        let Some(Some(ready)) = ready.get(*position) else { return Ok(()) };
        outputs.fit(entry.outputs.iter().zip(&ready.shapes.outputs))?;
        let (mut few, mut many) = (Default::default(), Vec::new());
        let inputs = collect(in_order(entry, inputs).map(|view| view.bytes()), entry.inputs.len(), &mut few, &mut many);
        let (mut few, mut many) = (Default::default(), Vec::new());
        let outputs = collect(outputs.tensors_mut().iter_mut().map(Tensor::bytes_mut), entry.outputs.len(), &mut few, &mut many);
        Ok(run(&mut **executor, &mut Io { inputs, outputs })?)
    }

    fn is_ready_for<N: AsRef<str>, V: TypedTensor>(&self, inputs: &[(N, V)]) -> bool {
        let (Ok(ready), Ok(entry)) = (self.current(), self.entry_point()) else { return false };
        let same = |(shape, view): (&Vec<usize>, &V)| shape == TypedTensor::shape(view);
        let fits = || ready.shapes.inputs.iter().zip(in_order(entry, inputs)).all(same);
        self.prepared == Some(self.entry) && ready.given == self.given && fits()
    }

    /// Prepares the executor for the entry point at these shapes.
    fn make_ready(&mut self, shapes: &[&[usize]]) -> Result<(), RuntimeError> {
        self.prepared = None;
        let mut ready = match self.ready.get_mut(self.entry).and_then(Option::take) {
            Some(ready) => ready,
            None => Box::new(Ready { needed: self.needed()?, ..Ready::default() }),
        };
        let made = self.refill(&mut ready, shapes).and_then(|()| self.hand_over(&ready));
        if let Some(slot) = self.ready.get_mut(self.entry) {
            *slot = Some(ready);
        }
        made?;
        self.prepared = Some(self.entry);
        Ok(())
    }

    fn needed(&self) -> Result<Vec<u32>, RuntimeError> {
        Ok(needed(self.model.artifact().plan(), self.entry_point()?, self.plan_variant()?))
    }

    fn plan_variant(&self) -> Result<&Variant, RuntimeError> {
        let variant = self.merged.as_ref().or_else(|| self.model.artifact().plan().variants.get(self.variant));
        variant.ok_or_else(|| RuntimeError::input("session", "its variant does not exist"))
    }

    /// Evaluates the plan anew, unless nothing it depends on has changed.
    fn refill(&self, ready: &mut Ready, shapes: &[&[usize]]) -> Result<(), RuntimeError> {
        if ready.is_complete && ready.given == self.given && ready.shapes.inputs.iter().eq(shapes) {
            return Ok(());
        }
        let (plan, entry, variant) = (self.model.artifact().plan(), self.entry_point()?, self.plan_variant()?);
        ready.is_complete = false;
        ready.bound.bind(plan, entry, &ready.needed, &self.given, shapes)?;
        let evaluator = Evaluator { plan, entry, bound: &ready.bound, weight_bytes: self.model.weight_bytes() };
        evaluator.shapes(&mut ready.shapes, &mut ready.prepared)?;
        self.check_memory(&ready.shapes.requirements)?;
        evaluator.dispatches(variant, &mut ready.prepared)?;
        ready.given.clone_from(&self.given);
        ready.is_complete = true;
        Ok(())
    }

    fn hand_over(&mut self, ready: &Ready) -> Result<(), RuntimeError> {
        self.executor.prepare(&ready.prepared)?;
        self.states.fit(&mut *self.executor, &self.model, &ready.shapes.states, &ready.prepared.state_bytes)
    }

    fn check_memory(&self, requirements: &Requirements) -> Result<(), RuntimeError> {
        let needed = requirements.session_bytes();
        match self.max_memory {
            Some(limit) if needed > limit => {
                let what = "working memory, states and outputs".into();
                Err(RuntimeError::LimitExceeded { what, needed, limit: format!("the limit of {}", ByteSize(limit)) })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn step_profiles(&self, seconds: &[f64]) -> Result<Vec<StepProfile>, RuntimeError> {
        let (plan, entry, ready) = (self.model.artifact().plan(), self.entry_point()?, self.current()?);
        let shapes: Vec<&[usize]> = ready.shapes.inputs.iter().map(Vec::as_slice).collect();
        let given = plan.symbols.iter().zip(&self.given);
        let given = given.filter_map(|(symbol, value)| Some((symbol.name.clone(), (*value)?))).collect();
        let bound = bind_all(plan, entry, &given, &shapes)?;
        let evaluator = Evaluator { plan, entry, bound: &bound, weight_bytes: self.model.weight_bytes() };
        let (variant, range) = (self.plan_variant()?, step_range(entry));
        let steps = range.clone().zip(plan.steps.get(range).unwrap_or_default());
        let profiles = steps.zip(seconds).zip(&ready.prepared.dispatches).map(|(((position, step), seconds), dispatch)| {
            Ok(StepProfile {
                label: step.label.clone(),
                nodes: step.nodes.clone(),
                kernel: variant.kernels.get(dispatch.kernel as usize).cloned().unwrap_or_default(),
                device: if variant.leaves(position) { &variant.fallback_device } else { &variant.device }.clone(),
                seconds: *seconds,
                flops: evaluator.unsigned(step.flops, || "a number of operations".into())?,
                bytes: evaluator.unsigned(step.bytes, || "a number of bytes".into())?,
            })
        });
        profiles.collect()
    }
}

fn entry_point(model: &Model, position: usize) -> Result<&EntryPoint, RuntimeError> {
    let entry = model.artifact().plan().entry_points.get(position);
    entry.ok_or_else(|| RuntimeError::input("session", "its entry point does not exist"))
}

/// What is known of an input wherever it lies.
trait TypedTensor {
    fn dtype(&self) -> DType;
    fn shape(&self) -> &[usize];
}

impl TypedTensor for TensorView<'_> {
    fn dtype(&self) -> DType {
        TensorView::dtype(self)
    }

    fn shape(&self) -> &[usize] {
        TensorView::shape(self)
    }
}

impl TypedTensor for Input<'_> {
    fn dtype(&self) -> DType {
        Input::dtype(self)
    }

    fn shape(&self) -> &[usize] {
        Input::shape(self)
    }
}

fn find_input<'b, N: AsRef<str>, V>(inputs: &'b [(N, V)], name: &str) -> Option<&'b V> {
    inputs.iter().find(|(candidate, _)| candidate.as_ref() == name).map(|(_, view)| view)
}

/// The inputs in the order of the entry point.
fn in_order<'e, 'i, N: AsRef<str>, V>(
    entry: &'e EntryPoint,
    inputs: &'i [(N, V)],
) -> impl Iterator<Item = &'i V> + use<'e, 'i, N, V> {
    entry.inputs.iter().filter_map(|spec| find_input(inputs, &spec.name))
}

fn names(specs: &[TensorSpec]) -> Vec<&str> {
    specs.iter().map(|spec| spec.name.as_str()).collect()
}

fn check_inputs<N: AsRef<str>, V: TypedTensor>(entry: &EntryPoint, inputs: &[(N, V)]) -> Result<(), RuntimeError> {
    for spec in &entry.inputs {
        let subject = || format!("input `{}`", spec.name);
        let view = find_input(inputs, &spec.name).ok_or_else(|| RuntimeError::input(subject(), "it is missing"))?;
        if view.dtype().name() != spec.dtype {
            return Err(RuntimeError::input(subject(), format!("is {}, expected {}", view.dtype(), dtype(spec)?)));
        }
    }
    if inputs.len() == entry.inputs.len() {
        return Ok(());
    }
    let given: Vec<&str> = inputs.iter().map(|(name, _)| name.as_ref()).collect();
    Err(RuntimeError::input("inputs", format!("got {given:?}, but the model takes {:?}", names(&entry.inputs))))
}

/// The items as a slice: of an array if they are few, so that nothing is allocated.
fn collect<'a, T: Default>(
    items: impl Iterator<Item = T>,
    count: usize,
    few: &'a mut [T; FEW],
    many: &'a mut Vec<T>,
) -> &'a mut [T] {
    let Some(slots) = few.get_mut(..count) else {
        many.extend(items);
        return many;
    };
    slots.iter_mut().zip(items).for_each(|(slot, item)| *slot = item);
    slots
}
