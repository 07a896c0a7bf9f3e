use super::{AttrSpec, Class, OpDef, Operands, Tolerance, Work, common};
use crate::attrs::AttrKind;
use crate::types::TensorType;

pub(super) const DEF: OpDef = OpDef {
    name: "input",
    doc: "A tensor given at run time.",
    operands: Operands::Fixed(&[]),
    attrs: &[
        AttrSpec { name: "name", kind: AttrKind::Text, doc: "the name by which it is given" },
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
