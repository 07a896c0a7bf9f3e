use crate::bind::{bind_given, bind_shapes, check_bindings};
use crate::prepare::{Evaluator, Shapes, dtype, step_range, total};
use crate::state::States;
use crate::{Bindings, Model, Options, Outputs, Requirements, RuntimeError, Tensor, TensorView};
use lostwax_format::{EntryPoint, TensorSpec};
use lostwax_target_api::{Executor, Io, Prepared, Program};
use std::sync::Arc;

/// How many choices of shapes a session remembers.
const REMEMBERED: usize = 4;

/// How many inputs or outputs a run hands on without allocating.
const FEW: usize = 32;

/// Working memory, threads and states of one user of a model.
pub struct Session {
    model: Model,
    variant: usize,
    options: Options,
    entry: usize,
    executor: Box<dyn Executor>,
    states: States,
    /// The choices of shapes that were used last, the current one at the end.
    ready: Vec<Ready>,
    /// Whether the executor has the current choice.
    is_prepared: bool,
}

struct Ready {
    entry: usize,
    bindings: Bindings,
    shapes: Shapes,
    prepared: Prepared,
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
    /// Mean time of one run.
    pub seconds: f64,
    /// Arithmetic operations.
    pub flops: u64,
    /// Bytes read and written.
    pub bytes: u64,
}

impl Session {
    pub(crate) fn new(model: Model, variant: usize, program: Arc<dyn Program>, options: Options) -> Result<Self, RuntimeError> {
        let entry = model.entry_point(options.entry_point.as_deref())?.0;
        let executor = program.executor(options.threads)?;
        let states = States::default();
        Ok(Self { model, variant, options, entry, executor, states, ready: Vec::new(), is_prepared: false })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
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

    /// Gives a symbol that no input determines its value for the next runs, in place of that in [`Options::bindings`]. States stay
    /// as they are, unless their size depends on the symbol: these start anew.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such symbol or the value is out of its range; the old value stays then.
    pub fn bind(&mut self, symbol: &str, value: i64) -> Result<(), RuntimeError> {
        check_bindings(self.model.artifact().plan(), &Bindings::from([(symbol.to_owned(), value)]))?;
        match self.options.bindings.get_mut(symbol) {
            Some(bound) => *bound = value,
            None => drop(self.options.bindings.insert(symbol.to_owned(), value)),
        }
        Ok(())
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

    /// Runs the model and puts the results where those of a run before were. Allocates nothing if the shapes are those of that run.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_into<N: AsRef<str>>(&mut self, inputs: &[(N, TensorView<'_>)], outputs: &mut Outputs) -> Result<(), RuntimeError> {
        self.run_with(inputs, outputs, |executor, io| executor.run(io))
    }

    /// Runs the model `runs` times and tells what each step took.
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
        let bound = bind_given(plan, &unbound, &self.options.bindings)?;
        let evaluator = Evaluator { plan, entry: &unbound, bound: &bound, weight_bytes: self.model.weight_bytes() };
        let (shapes, bytes) = evaluator.states()?;
        self.check_memory(&Requirements { state_bytes: total(&bytes), ..Requirements::default() })?;
        self.executor.prepare(Prepared { state_bytes: bytes.clone(), ..Prepared::default() })?;
        self.is_prepared = false;
        self.states.fit(&mut *self.executor, &self.model, &shapes, &bytes)
    }

    fn current(&self) -> Result<&Ready, RuntimeError> {
        self.ready.last().ok_or_else(|| RuntimeError::input("session", "it has no shapes yet"))
    }

    fn run_with<N: AsRef<str>>(
        &mut self,
        inputs: &[(N, TensorView<'_>)],
        outputs: &mut Outputs,
        run: impl FnOnce(&mut dyn Executor, &mut Io<'_>) -> Result<(), lostwax_target_api::DeviceError>,
    ) -> Result<(), RuntimeError> {
        check_inputs(self.entry_point()?, inputs)?;
        if !self.is_ready_for(inputs) {
            let shapes: Vec<&[usize]> = in_order(self.entry_point()?, inputs).map(|view| view.shape()).collect();
            self.make_ready(&shapes)?;
        }
        let Self { model, entry, executor, ready, .. } = self;
        let entry = entry_point(model, *entry)?;
        let Some(ready) = ready.last() else { return Ok(()) };
        outputs.fit(&entry.outputs, &ready.shapes.outputs)?;
        let (mut few, mut many) = (Default::default(), Vec::new());
        let inputs = collect(in_order(entry, inputs).map(|view| view.bytes()), entry.inputs.len(), &mut few, &mut many);
        let (mut few, mut many) = (Default::default(), Vec::new());
        let outputs = collect(outputs.tensors_mut().iter_mut().map(Tensor::bytes_mut), entry.outputs.len(), &mut few, &mut many);
        Ok(run(&mut **executor, &mut Io { inputs, outputs })?)
    }

    fn is_ready_for<N: AsRef<str>>(&self, inputs: &[(N, TensorView<'_>)]) -> bool {
        let (Some(ready), Ok(entry)) = (self.ready.last(), self.entry_point()) else { return false };
        let same = |(shape, view): (&Vec<usize>, &TensorView<'_>)| shape == view.shape();
        self.is_prepared && self.is_bound(ready) && ready.shapes.inputs.iter().zip(in_order(entry, inputs)).all(same)
    }

    /// Whether a choice of shapes is one of this entry point and these bindings.
    fn is_bound(&self, ready: &Ready) -> bool {
        ready.entry == self.entry && ready.bindings == self.options.bindings
    }

    /// Brings the choice of shapes to the end of `ready` and to the executor.
    fn make_ready(&mut self, shapes: &[&[usize]]) -> Result<(), RuntimeError> {
        let known = self.ready.iter().position(|ready| self.is_bound(ready) && ready.shapes.inputs.iter().eq(shapes.iter()));
        let ready = match known {
            Some(position) => self.ready.remove(position),
            None => self.evaluate(shapes)?,
        };
        self.is_prepared = false;
        if self.ready.len() >= REMEMBERED {
            self.ready.remove(0);
        }
        self.executor.prepare(ready.prepared.clone())?;
        self.states.fit(&mut *self.executor, &self.model, &ready.shapes.states, &ready.shapes.sizes.states)?;
        self.ready.push(ready);
        self.is_prepared = true;
        Ok(())
    }

    fn evaluate(&self, shapes: &[&[usize]]) -> Result<Ready, RuntimeError> {
        let (plan, entry) = (self.model.artifact().plan(), self.entry_point()?);
        let bound = bind_shapes(plan, entry, &self.options.bindings, shapes)?;
        let evaluator = Evaluator { plan, entry, bound: &bound, weight_bytes: self.model.weight_bytes() };
        let shapes = evaluator.shapes()?;
        self.check_memory(&shapes.requirements)?;
        let missing = || RuntimeError::input("session", "its variant does not exist");
        let variant = plan.variants.get(self.variant).ok_or_else(missing)?;
        let prepared = evaluator.prepared(variant, &shapes.sizes)?;
        Ok(Ready { entry: self.entry, bindings: self.options.bindings.clone(), shapes, prepared })
    }

    fn check_memory(&self, requirements: &Requirements) -> Result<(), RuntimeError> {
        let needed = requirements.session_bytes();
        match self.options.max_memory {
            Some(limit) if needed > limit => {
                let what = "working memory, states and outputs".into();
                Err(RuntimeError::LimitExceeded { what, needed, limit: format!("the limit of {limit}") })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn step_profiles(&self, seconds: &[f64]) -> Result<Vec<StepProfile>, RuntimeError> {
        let (plan, entry, ready) = (self.model.artifact().plan(), self.entry_point()?, self.current()?);
        let shapes: Vec<&[usize]> = ready.shapes.inputs.iter().map(Vec::as_slice).collect();
        let bound = bind_shapes(plan, entry, &self.options.bindings, &shapes)?;
        let evaluator = Evaluator { plan, entry, bound: &bound, weight_bytes: self.model.weight_bytes() };
        let kernels = plan.variants.get(self.variant).map(|variant| variant.kernels.as_slice()).unwrap_or_default();
        let steps = plan.steps.get(step_range(entry)).unwrap_or_default();
        let profiles = steps.iter().zip(seconds).zip(&ready.prepared.dispatches).map(|((step, seconds), dispatch)| {
            Ok(StepProfile {
                label: step.label.clone(),
                nodes: step.nodes.clone(),
                kernel: kernels.get(dispatch.kernel as usize).cloned().unwrap_or_default(),
                seconds: *seconds,
                flops: evaluator.unsigned(step.flops, "a number of operations")?,
                bytes: evaluator.unsigned(step.bytes, "a number of bytes")?,
            })
        });
        profiles.collect()
    }
}

fn entry_point(model: &Model, position: usize) -> Result<&EntryPoint, RuntimeError> {
    let entry = model.artifact().plan().entry_points.get(position);
    entry.ok_or_else(|| RuntimeError::input("session", "its entry point does not exist"))
}

fn find_input<'b, 'a, N: AsRef<str>>(inputs: &'b [(N, TensorView<'a>)], name: &str) -> Option<&'b TensorView<'a>> {
    inputs.iter().find(|(candidate, _)| candidate.as_ref() == name).map(|(_, view)| view)
}

/// The inputs in the order of the entry point.
fn in_order<'b, 'a, N: AsRef<str>>(
    entry: &'b EntryPoint,
    inputs: &'b [(N, TensorView<'a>)],
) -> impl Iterator<Item = &'b TensorView<'a>> {
    entry.inputs.iter().filter_map(|spec| find_input(inputs, &spec.name))
}

fn names(specs: &[TensorSpec]) -> Vec<&str> {
    specs.iter().map(|spec| spec.name.as_str()).collect()
}

fn check_inputs<N: AsRef<str>>(entry: &EntryPoint, inputs: &[(N, TensorView<'_>)]) -> Result<(), RuntimeError> {
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
    Err(RuntimeError::input("inputs", format!("given are {given:?}, the model takes {:?}", names(&entry.inputs))))
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
