//! One node as its operator's import function sees it.

use super::item::{Data, Item};
use super::problem::{Outcome, Problem, invalid, unsupported};
use onnx_protobuf::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// A node with its operands.
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    /// The version of the operator set that the node belongs to.
    pub(super) opset: i64,
    pub(super) inputs: Vec<Option<Item>>,
}

impl Node<'_> {
    /// An operand that must be there.
    pub(super) fn input(&self, position: usize) -> Outcome<&Item> {
        match self.inputs.get(position) {
            Some(Some(item)) => present(item),
            _ => invalid(format!("operand {position} is missing")),
        }
    }

    /// An operand that may be left out.
    pub(super) fn optional(&self, position: usize) -> Outcome<Option<&Item>> {
        self.inputs.get(position).and_then(Option::as_ref).map(present).transpose()
    }

    /// All operands, none of which may be left out.
    pub(super) fn all(&self) -> Outcome<Vec<Item>> {
        self.all_from(0)
    }

    /// The operands from a position on, none of which may be left out.
    pub(super) fn all_from(&self, start: usize) -> Outcome<Vec<Item>> {
        (start..self.inputs.len()).map(|position| self.input(position).cloned()).collect()
    }

    /// An operand whose elements must be constant integers.
    pub(super) fn integers(&self, position: usize, what: &str) -> Outcome<Option<Vec<i64>>> {
        let Some(item) = self.optional(position)? else { return Ok(None) };
        match item.integers() {
            Some(values) => Ok(Some(values)),
            None => unsupported(format!("{what} must be constant; simplify the model or fix its shapes")),
        }
    }

    /// A list of integers that older operator sets have as an attribute and newer ones as an operand.
    pub(super) fn integers_or_attribute(&self, position: usize, name: &str) -> Outcome<Option<Vec<i64>>> {
        match self.ints(name) {
            Some(values) => Ok(Some(values)),
            None => self.integers(position, name),
        }
    }

    /// Whether the node's result `position` has a name.
    pub(super) fn has_output(&self, position: usize) -> bool {
        self.proto.output.get(position).is_some_and(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.int(name, default.into()) != 0
    }

    /// A floating-point number. The default is an f32 too, as the operator's definition gives it in decimal.
    pub(super) fn float(&self, name: &str, default: f32) -> f64 {
        self.attribute(name).map_or(default, |attribute| attribute.f).into()
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.to_string(), |attribute| String::from_utf8_lossy(&attribute.s).into_owned())
    }

    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        self.attribute(name).map(|attribute| attribute.strings.iter().map(text).collect())
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    pub(super) fn graph(&self, name: &str) -> Outcome<&GraphProto> {
        let graph = self.attribute(name).and_then(|attribute| attribute.g.as_ref());
        graph.ok_or_else(|| Problem::Invalid(format!("attribute `{name}` is missing")))
    }
}

fn present(item: &Item) -> Outcome<&Item> {
    match item.data() {
        Data::Absent(reason) => unsupported(reason.clone()),
        Data::Constant(_) | Data::Known(_) | Data::Value(_) => Ok(item),
    }
}

/// A position counted from the start; negative positions count from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let position = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    position.ok_or_else(|| Problem::Invalid(format!("axis {axis} does not fit rank {rank}")))
}

/// Distinct positions counted from the start, ascending.
pub(super) fn axes(list: &[i64], rank: usize) -> Outcome<Vec<usize>> {
    let mut axes: Vec<usize> = list.iter().map(|value| axis(*value, rank)).collect::<Outcome<_>>()?;
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return invalid(format!("axes {list:?} name an axis twice"));
    }
    Ok(axes)
}
