use crate::{RuntimeError, Tensor};
use lostwax_format::TensorSpec;
use std::ops::Index;

/// The results of a run, in the order of the entry point. If passed to the next run, their memory is reused.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    names: Vec<String>,
    tensors: Vec<Tensor>,
}

impl Outputs {
    /// No tensors yet; [`crate::Session::run_into`] fills them in.
    pub fn new() -> Self {
        Self::default()
    }

    /// The output of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, tensor)| tensor)
    }

    /// Takes the output of that name out.
    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        let position = self.names.iter().position(|candidate| candidate == name)?;
        self.names.remove(position);
        Some(self.tensors.remove(position))
    }

    /// Names and tensors.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// The number of outputs.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no outputs.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    pub(crate) fn tensors_mut(&mut self) -> &mut [Tensor] {
        &mut self.tensors
    }

    /// Makes the tensors those of specs and shapes, and allocates nothing when they are so already.
    pub(crate) fn fit<'a>(
        &mut self,
        outputs: impl Iterator<Item = (&'a TensorSpec, &'a Vec<usize>)> + Clone,
    ) -> Result<(), RuntimeError> {
        if self.is_fit(outputs.clone()) {
            return Ok(());
        }
        self.names.clear();
        self.tensors.clear();
        for (spec, shape) in outputs {
            self.tensors.push(Tensor::zeros(crate::prepare::dtype(spec)?, shape)?);
            self.names.push(spec.name.clone());
        }
        Ok(())
    }

    fn is_fit<'a>(&self, outputs: impl Iterator<Item = (&'a TensorSpec, &'a Vec<usize>)> + Clone) -> bool {
        let same = |((name, tensor), (spec, shape)): ((&str, &Tensor), (&TensorSpec, &Vec<usize>))| {
            name == spec.name && tensor.dtype().name() == spec.dtype && tensor.shape() == shape
        };
        self.len() == outputs.clone().count() && self.iter().zip(outputs).all(same)
    }
}

/// The output of that name. Panics if there is none, as maps do; [`Outputs::get`] does not.
impl Index<&str> for Outputs {
    type Output = Tensor;

    fn index(&self, name: &str) -> &Tensor {
        match self.get(name) {
            Some(tensor) => tensor,
            None => panic!("there is no output `{name}`; there are {:?}", self.names),
        }
    }
}
