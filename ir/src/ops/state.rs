use super::{AttrSpec, Class, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::AttrKind;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "state",
    doc: "A tensor that stays from run to run: what it was when the run began. The output of the same name is what it becomes.",
    operands: Operands::Fixed(&[]),
    attrs: &[
        AttrSpec { name: "name", kind: AttrKind::Text, doc: "the name, which is that of an output too" },
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
    sample: |random| common::sample_leaf(random, common::ANY, 0).with("name", "x"),
};
