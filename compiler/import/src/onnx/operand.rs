//! What a name of the model stands for while it is imported.

use super::known::Known;
use lostwax_ir::graph::Value;
use lostwax_ir::tensor::Tensor;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

/// The three ways in which a tensor can be at hand.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// A constant that is not part of the graph unless something uses it.
    Constant(Arc<Tensor>),
    /// A few known numbers, possibly symbolic, not part of the graph unless something uses them as a tensor.
    Known(Known),
    /// A tensor of the graph.
    Value(Value),
    /// A tensor that could not be imported, and why.
    Absent(String),
}

#[derive(Debug)]
struct Inner {
    data: Data,
    value: OnceCell<Value>,
}

/// A tensor of the model while it is imported: a constant, a few numbers computed from sizes, or a value of the graph. Clones share
/// the value in the graph.
#[derive(Clone, Debug)]
pub struct Operand(Rc<Inner>);

impl Operand {
    fn new(data: Data) -> Self {
        Self(Rc::new(Inner { data, value: OnceCell::new() }))
    }

    pub(super) fn absent(reason: impl Into<String>) -> Self {
        Self::new(Data::Absent(reason.into()))
    }

    pub(super) fn data(&self) -> &Data {
        &self.0.data
    }

    /// The value in the graph, if there is one already.
    pub(super) fn value(&self) -> Option<Value> {
        if let Data::Value(value) = self.data() { Some(*value) } else { self.0.value.get().copied() }
    }

    /// Remembers the value that was made for a constant.
    pub(super) fn remember(&self, value: Value) -> Value {
        *self.0.value.get_or_init(|| value)
    }

    /// The tensor, if it is a stored constant.
    pub fn as_constant(&self) -> Option<&Arc<Tensor>> {
        if let Data::Constant(tensor) = self.data() { Some(tensor) } else { None }
    }

    /// The numbers, for small constants and what was computed from shapes.
    pub(super) fn known(&self) -> Option<Known> {
        match self.data() {
            Data::Constant(tensor) => Known::from_tensor(tensor),
            Data::Known(known) => Some(known.clone()),
            Data::Value(_) | Data::Absent(_) => None,
        }
    }

    /// Whether the numbers were computed from shapes.
    pub(super) fn is_computed(&self) -> bool {
        matches!(self.data(), Data::Known(_))
    }

    /// The elements, if they are constant integers.
    pub fn integers(&self) -> Option<Vec<i64>> {
        match self.data() {
            Data::Constant(tensor) if !tensor.dtype().is_float() => Some(tensor.to_i64()),
            _ => self.known()?.integers(),
        }
    }

    /// The elements, if they are constant.
    pub fn floats(&self) -> Option<Vec<f64>> {
        match self.data() {
            Data::Constant(tensor) => Some(tensor.to_f64()),
            Data::Known(known) => Some(known.to_tensor()?.to_f64()),
            Data::Value(_) | Data::Absent(_) => None,
        }
    }
}

impl From<Value> for Operand {
    fn from(value: Value) -> Self {
        Self::new(Data::Value(value))
    }
}

impl From<Tensor> for Operand {
    fn from(tensor: Tensor) -> Self {
        Self::new(Data::Constant(tensor.into()))
    }
}

impl From<Arc<Tensor>> for Operand {
    fn from(tensor: Arc<Tensor>) -> Self {
        Self::new(Data::Constant(tensor))
    }
}

impl From<Known> for Operand {
    fn from(known: Known) -> Self {
        match known.to_tensor() {
            Some(tensor) if !known.dtype.is_float() => tensor.into(),
            _ => Self::new(Data::Known(known)),
        }
    }
}
