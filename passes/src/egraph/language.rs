//! The language of the e-graph: one node for every op, generic over the op table.

use egg::{Id, Language};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::ops::Op;
use std::sync::Arc;

/// What an e-node is, apart from its children.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Head {
    /// The attributes of an op; the first child of e-nodes whose op declares any.
    Attrs(Arc<Attrs>),
    /// An input or constant of the source graph, by its position in [`super::analysis::Facts::leaves`].
    Leaf(u32),
    /// An operation.
    Op(Op),
}

/// A node of the e-graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ENode {
    /// What it is.
    pub head: Head,
    /// The attributes, if the op declares any, then the operands.
    pub children: Vec<Id>,
}

/// What e-nodes are indexed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Head::Attrs`].
    Attrs,
    /// [`Head::Leaf`].
    Leaf,
    /// [`Head::Op`].
    Op(Op),
}

/// Whether nodes of this op have their attributes as first child.
pub fn has_attrs(op: Op) -> bool {
    !op.def().attrs.is_empty()
}

impl ENode {
    /// A node without children.
    pub fn leaf(head: Head) -> Self {
        Self { head, children: Vec::new() }
    }

    /// The op, if it is one.
    pub fn op(&self) -> Option<Op> {
        if let Head::Op(op) = self.head { Some(op) } else { None }
    }

    /// The operands, without the attributes.
    pub fn operands(&self) -> &[Id] {
        let skip = usize::from(self.op().is_some_and(has_attrs));
        self.children.get(skip..).unwrap_or(&[])
    }
}

impl Language for ENode {
    type Discriminant = Kind;

    fn discriminant(&self) -> Kind {
        match self.head {
            Head::Attrs(_) => Kind::Attrs,
            Head::Leaf(_) => Kind::Leaf,
            Head::Op(op) => Kind::Op(op),
        }
    }

    fn matches(&self, other: &Self) -> bool {
        self.head == other.head && self.children.len() == other.children.len()
    }

    fn children(&self) -> &[Id] {
        &self.children
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.children
    }
}
