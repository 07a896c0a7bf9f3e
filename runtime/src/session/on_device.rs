//! Runs whose inputs and outputs may stay on the device.

use super::{Session, check_inputs, entry_point, in_order, names};
use crate::prepare::dtype;
use crate::{DeviceTensor, Input, Outputs, RuntimeError, Tensor};
use lostwax_format::{EntryPoint, TensorSpec};
use lostwax_target_api::{Destination, DeviceError, DeviceIo, Source};

impl Session {
    /// Runs the model on inputs by name, in host memory or on the device, and leaves the outputs that `destinations` names on the
    /// device. Returns the others in host memory.
    ///
    /// If no output goes to the host, the call need not wait for the device; [`DeviceTensor::to_tensor`] waits, and reports what
    /// failed. A destination has the type and shape of its output; [`Session::zeros_for_output`] makes one.
    ///
    /// Device tensors are not counted in [`crate::Requirements`]. Unless the device works in host memory, a session also keeps
    /// its own memory for all inputs and outputs, even those that are always passed on the device, so that a run from host
    /// tensors can start at once.
    ///
    /// # Errors
    /// As [`Session::run`], and [`RuntimeError::InvalidInput`] if a tensor lies on another device, a destination does not fit its
    /// output or shares memory with another tensor of the run; [`RuntimeError::Device`] if the device or a session that leaves steps
    /// to another device cannot do this.
    pub fn run_on_device<'a, 't, N: AsRef<str>, I: Into<Input<'a>>>(
        &mut self,
        inputs: impl IntoIterator<Item = (N, I)>,
        destinations: impl IntoIterator<Item = (&'t str, &'t mut DeviceTensor)>,
    ) -> Result<Outputs, RuntimeError> {
        let inputs: Vec<(N, Input<'a>)> = inputs.into_iter().map(|(name, input)| (name, input.into())).collect();
        check_inputs(self.entry_point()?, &inputs)?;
        if !self.is_ready_for(&inputs) {
            let shapes: Vec<&[usize]> = in_order(self.entry_point()?, &inputs).map(Input::shape).collect();
            self.make_ready(&shapes)?;
        }
        let mut destinations = in_place(self.entry_point()?, destinations)?;
        self.check(&inputs, &destinations)?;
        self.run_ready(&inputs, &mut destinations)
    }

    /// A tensor of zeros on the device for an output, of the shape that it has at the shapes of the last run, or of the last
    /// [`Session::prepare`].
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if there is no such output or there are no shapes yet, and as [`crate::Device::zeros`].
    pub fn zeros_for_output(&self, name: &str) -> Result<DeviceTensor, RuntimeError> {
        let (entry, ready) = (self.entry_point()?, self.current()?);
        let mut outputs = entry.outputs.iter().zip(&ready.shapes.outputs);
        let found = outputs.find(|(spec, _)| spec.name == name);
        let (spec, shape) = found.ok_or_else(|| unknown(entry, name))?;
        self.device.zeros(dtype(spec)?, shape)
    }

    /// Whether tensors lie on this device, destinations fit their outputs and share memory with no other tensor.
    fn check<N: AsRef<str>>(&self, inputs: &[(N, Input<'_>)], destinations: &[OutputBinding<'_>]) -> Result<(), RuntimeError> {
        let (specs, shapes) = (&self.entry_point()?.outputs, &self.current()?.shapes.outputs);
        for (name, input) in inputs {
            if let Input::Device(tensor) = input {
                self.check_device(|| format!("input `{}`", name.as_ref()), tensor)?;
            }
        }
        for (position, placed) in destinations.iter().enumerate() {
            self.check_device(|| placed.subject(), placed.tensor)?;
            let output = specs.get(placed.output).zip(shapes.get(placed.output));
            output.map_or(Ok(()), |(spec, shape)| check_fit(placed, spec, shape))?;
            check_sharing(placed, inputs, destinations.get(..position).unwrap_or_default())?;
        }
        Ok(())
    }

    fn check_device(&self, subject: impl FnOnce() -> String, tensor: &DeviceTensor) -> Result<(), RuntimeError> {
        if tensor.device().is_same(&self.device) {
            return Ok(());
        }
        let (other, own) = (tensor.device().name(), self.device.name());
        Err(RuntimeError::input(subject(), format!("lies on another device, {other}, than that of the session, {own}")))
    }

    /// Runs at the shapes that the session is ready for.
    fn run_ready<N: AsRef<str>>(
        &mut self,
        inputs: &[(N, Input<'_>)],
        destinations: &mut [OutputBinding<'_>],
    ) -> Result<Outputs, RuntimeError> {
        let shapes = &self.current()?.shapes.outputs;
        let entry = entry_point(&self.model, self.entry)?;
        let stays = |output: usize| destinations.iter().any(|placed| placed.output == output);
        let others = entry.outputs.iter().zip(shapes).enumerate().filter(|(output, _)| !stays(*output));
        let mut outputs = Outputs::new();
        outputs.fit(others.map(|(_, output)| output))?;
        let sources: Vec<Source<'_>> = in_order(entry, inputs).map(source).collect();
        let mut host = outputs.tensors_mut().iter_mut().map(Tensor::bytes_mut);
        let mut on_device = destinations.iter_mut().peekable();
        let place = |output: usize| match on_device.next_if(|placed| placed.output == output) {
            Some(placed) => Some(Destination::Device(placed.tensor.memory_mut())),
            None => host.next().map(Destination::Host),
        };
        let mut places: Vec<Destination<'_>> = (0..entry.outputs.len()).filter_map(place).collect();
        let what = "tensors that stay on it in a session that leaves steps to another device";
        let missing = || DeviceError::Unsupported { device: self.device.name().into(), what: what.into() };
        let executor = self.executor.on_device().ok_or_else(missing)?;
        executor.run_on_device(&mut DeviceIo { inputs: &sources, outputs: &mut places })?;
        Ok(outputs)
    }
}

/// A tensor that an output is written to.
struct OutputBinding<'t> {
    output: usize,
    name: &'t str,
    tensor: &'t mut DeviceTensor,
}

impl OutputBinding<'_> {
    fn subject(&self) -> String {
        format!("output `{}`", self.name)
    }
}

/// Destinations in the order of the outputs, each of which is there and named once.
fn in_place<'t>(
    entry: &EntryPoint,
    destinations: impl IntoIterator<Item = (&'t str, &'t mut DeviceTensor)>,
) -> Result<Vec<OutputBinding<'t>>, RuntimeError> {
    let place = |(name, tensor)| {
        let output = entry.outputs.iter().position(|spec| spec.name == name).ok_or_else(|| unknown(entry, name))?;
        Ok(OutputBinding { output, name, tensor })
    };
    let mut placed = destinations.into_iter().map(place).collect::<Result<Vec<_>, RuntimeError>>()?;
    placed.sort_by_key(|placed| placed.output);
    match placed
        .windows(2)
        .find_map(|pair| pair.first().filter(|first| pair.last().is_some_and(|last| last.output == first.output)))
    {
        Some(twice) => Err(RuntimeError::input(twice.subject(), "it has two destinations")),
        None => Ok(placed),
    }
}

fn unknown(entry: &EntryPoint, name: &str) -> RuntimeError {
    RuntimeError::input(format!("output `{name}`"), format!("there is no such output; there are {:?}", names(&entry.outputs)))
}

fn source<'a>(input: &'a Input<'_>) -> Source<'a> {
    match input {
        Input::Host(view) => Source::Host(view.bytes()),
        Input::Device(tensor) => Source::Device(tensor.memory()),
    }
}

fn check_fit(placed: &OutputBinding<'_>, spec: &TensorSpec, shape: &[usize]) -> Result<(), RuntimeError> {
    if placed.tensor.dtype() == dtype(spec)? && placed.tensor.shape() == shape {
        return Ok(());
    }
    let problem = format!("the destination is {:?}, the output is {}{shape:?}", placed.tensor, spec.dtype);
    Err(RuntimeError::input(placed.subject(), problem))
}

/// Whether the memory of a destination is neither that of an input nor that of an earlier destination.
fn check_sharing<N: AsRef<str>>(
    placed: &OutputBinding<'_>,
    inputs: &[(N, Input<'_>)],
    earlier: &[OutputBinding<'_>],
) -> Result<(), RuntimeError> {
    let memory = placed.tensor.memory();
    let is_input = |input: &Input<'_>| matches!(input, Input::Device(tensor) if tensor.memory().is_shared_with(memory));
    let input = inputs.iter().find(|(_, input)| is_input(input)).map(|(name, _)| format!("input `{}`", name.as_ref()));
    let output = || earlier.iter().find(|other| other.tensor.memory().is_shared_with(memory)).map(OutputBinding::subject);
    match input.or_else(output) {
        Some(subject) => {
            let problem = format!("its memory is also the destination of {}; give another", placed.subject());
            Err(RuntimeError::input(subject, problem))
        }
        None => Ok(()),
    }
}
