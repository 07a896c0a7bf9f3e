//! A look at the bytes of a model before they are decoded.

/// The fields that hold messages which can nest: message, field, type of the field.
const NESTED: &[(Message, u64, Message)] = &[
    (Message::Model, 7, Message::Graph),
    (Message::Model, 8, Message::Leaf),
    (Message::Model, 14, Message::Leaf),
    (Message::Model, 20, Message::Training),
    (Message::Model, 25, Message::Function),
    (Message::Training, 1, Message::Graph),
    (Message::Training, 2, Message::Graph),
    (Message::Training, 3, Message::Leaf),
    (Message::Training, 4, Message::Leaf),
    (Message::Function, 7, Message::Node),
    (Message::Function, 9, Message::Leaf),
    (Message::Function, 11, Message::Attribute),
    (Message::Function, 12, Message::ValueInfo),
    (Message::Function, 14, Message::Leaf),
    (Message::Graph, 1, Message::Node),
    (Message::Graph, 5, Message::Tensor),
    (Message::Graph, 11, Message::ValueInfo),
    (Message::Graph, 12, Message::ValueInfo),
    (Message::Graph, 13, Message::ValueInfo),
    (Message::Graph, 14, Message::Annotation),
    (Message::Graph, 15, Message::Sparse),
    (Message::Graph, 16, Message::Leaf),
    (Message::Node, 5, Message::Attribute),
    (Message::Node, 9, Message::Leaf),
    (Message::Attribute, 5, Message::Tensor),
    (Message::Attribute, 6, Message::Graph),
    (Message::Attribute, 10, Message::Tensor),
    (Message::Attribute, 11, Message::Graph),
    (Message::Attribute, 14, Message::Type),
    (Message::Attribute, 15, Message::Type),
    (Message::Attribute, 22, Message::Sparse),
    (Message::Attribute, 23, Message::Sparse),
    (Message::Tensor, 3, Message::Leaf),
    (Message::Tensor, 13, Message::Leaf),
    (Message::Tensor, 16, Message::Leaf),
    (Message::Sparse, 1, Message::Tensor),
    (Message::Sparse, 2, Message::Tensor),
    (Message::Annotation, 2, Message::Leaf),
    (Message::ValueInfo, 2, Message::Type),
    (Message::ValueInfo, 4, Message::Leaf),
    (Message::Type, 1, Message::TensorType),
    (Message::Type, 4, Message::Elements),
    (Message::Type, 5, Message::Map),
    (Message::Type, 8, Message::TensorType),
    (Message::Type, 9, Message::Elements),
    (Message::TensorType, 2, Message::Shape),
    (Message::Elements, 1, Message::Type),
    (Message::Map, 2, Message::Type),
    (Message::Shape, 1, Message::Leaf),
];

const MAX_NESTING: usize = 90;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Annotation,
    ValueInfo,
    Type,
    TensorType,
    Elements,
    Map,
    Shape,
    Leaf,
}

/// Whether the bytes have the outer form of a message: complete fields, without groups, which ONNX does not use and which the
/// decoder follows to any depth.
pub(super) fn is_well_formed(bytes: &[u8], message: Message) -> bool {
    check(bytes, message, 0).is_some()
}

fn check(mut bytes: &[u8], message: Message, depth: usize) -> Option<()> {
    if depth > MAX_NESTING {
        return None;
    }
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => drop(bytes.split_off(..8)?),
            5 => drop(bytes.split_off(..4)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = bytes.split_off(..length)?;
                let nested = NESTED.iter().find(|(outer, field, _)| *outer == message && *field == key >> 3);
                if let Some((_, _, kind)) = nested {
                    check(inner, *kind, depth + 1)?;
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_refused_at_any_depth() {
        assert!(is_well_formed(&[], Message::Model));
        assert!(is_well_formed(&[0x08, 0x96, 0x01, 0x3a, 0x02, 0x0a, 0x00], Message::Model));
        assert!(!is_well_formed(&[0x0b, 0x0c], Message::Model));
        assert!(!is_well_formed(&[0x3a, 0x04, 0x0a, 0x02, 0x0b, 0x0c], Message::Model));
        assert!(!is_well_formed(&[0x3a, 0x7f], Message::Model));
    }
}
