use super::{AttrSpec, Class, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::AttrKind;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "constant",
    doc: "A tensor of the graph's constant table.",
    operands: Operands::Fixed(&[]),
    attrs: &[
        AttrSpec { name: "id", kind: AttrKind::Int, doc: "the position in the table" },
        AttrSpec { name: "dtype", kind: AttrKind::DType, doc: "the element type" },
        AttrSpec { name: "dims", kind: AttrKind::Dims, doc: "the sizes" },
    ],
    class: Class::Leaf,
    commutative: false,
    tolerance: Tolerance::Exact,
    work: Work::Nothing,
    infer: |_, attrs| Ok(TensorType { dtype: attrs.dtype("dtype"), dims: attrs.dims("dims").to_vec() }),
    eval: |_, _, _| None,
    lower: |_, _, _| None,
    sample: |random| common::sample_leaf(random, common::ANY, 0).with("id", 0),
};
