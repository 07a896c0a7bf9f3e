//! One node as its operator's import function sees it.

use super::node_error::{NodeError, NodeResult, invalid, unsupported};
use super::operand::{Data, Operand};
use onnx_protobuf::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// A node of the model with its operands and attributes.
pub struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    /// The version of the opset that the node belongs to.
    pub opset: i64,
    pub(super) inputs: Vec<Option<Operand>>,
}

impl Node<'_> {
    /// An operand that must be there.
    pub fn input(&self, position: usize) -> NodeResult<&Operand> {
        match self.inputs.get(position) {
            Some(Some(item)) => present(item),
            _ => invalid(format!("operand {position} is missing")),
        }
    }

    /// An operand that may be left out.
    pub fn optional(&self, position: usize) -> NodeResult<Option<&Operand>> {
        self.inputs.get(position).and_then(Option::as_ref).map(present).transpose()
    }

    /// All operands, none of which may be left out.
    pub fn all(&self) -> NodeResult<Vec<Operand>> {
        self.all_from(0)
    }

    /// The operands from a position on, none of which may be left out.
    pub fn all_from(&self, start: usize) -> NodeResult<Vec<Operand>> {
        (start..self.inputs.len()).map(|position| self.input(position).cloned()).collect()
    }

    /// An operand whose elements must be constant integers.
    pub fn integers(&self, position: usize, what: &str) -> NodeResult<Option<Vec<i64>>> {
        let Some(item) = self.optional(position)? else { return Ok(None) };
        match item.integers() {
            Some(values) => Ok(Some(values)),
            None => unsupported(format!("{what} must be constant; simplify the model or fix its shapes")),
        }
    }

    /// A list of integers that older opsets have as an attribute and newer ones as an operand.
    pub fn integers_or_attribute(&self, position: usize, name: &str) -> NodeResult<Option<Vec<i64>>> {
        match self.ints(name) {
            Some(values) => Ok(Some(values)),
            None => self.integers(position, name),
        }
    }

    /// Whether the node's result `position` has a name.
    pub fn has_output(&self, position: usize) -> bool {
        self.proto.output.get(position).is_some_and(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Whether the node has the attribute.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// An attribute that is 0 or 1.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.int(name, default.into()) != 0
    }

    /// A floating-point attribute. The default is an f32 too, as the operator's definition gives it in decimal.
    pub fn float(&self, name: &str, default: f32) -> f64 {
        self.attribute(name).map_or(default, |attribute| attribute.f).into()
    }

    /// A list of integers, if the node has the attribute.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A list of numbers, if the node has the attribute.
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    /// An attribute that is text.
    pub fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.to_string(), |attribute| String::from_utf8_lossy(&attribute.s).into_owned())
    }

    /// A list of texts, if the node has the attribute.
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        self.attribute(name).map(|attribute| attribute.strings.iter().map(text).collect())
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    pub(super) fn graph(&self, name: &str) -> NodeResult<&GraphProto> {
        let graph = self.attribute(name).and_then(|attribute| attribute.g.as_ref());
        graph.ok_or_else(|| NodeError::Invalid(format!("attribute `{name}` is missing")))
    }
}

fn present(item: &Operand) -> NodeResult<&Operand> {
    match item.data() {
        Data::Absent(reason) => unsupported(reason.clone()),
        Data::Constant(_) | Data::Known(_) | Data::Value(_) => Ok(item),
    }
}

/// A position counted from the start; negative positions count from the end.
pub fn axis(axis: i64, rank: usize) -> NodeResult<usize> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let position = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    position.ok_or_else(|| NodeError::Invalid(format!("axis {axis} does not fit rank {rank}")))
}

/// Distinct positions counted from the start, ascending.
pub fn axes(list: &[i64], rank: usize) -> NodeResult<Vec<usize>> {
    let mut axes: Vec<usize> = list.iter().map(|value| axis(*value, rank)).collect::<NodeResult<_>>()?;
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return invalid(format!("axes {list:?} name an axis twice"));
    }
    Ok(axes)
}
