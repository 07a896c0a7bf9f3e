//! The tensor operations: one file each, which holds all that is known of the op, and one line in the list below.

use crate::attrs::{AttrKind, Attrs};
use crate::compute::Compute;
use crate::graph::TypeError;
use crate::tensor::Tensor;
use crate::types::TensorType;
use std::fmt;

mod families;

/// Lists the ops: file name, variant of [`Op`].
macro_rules! ops {
    ($($module:ident $variant:ident,)*) => {
        $(mod $module;)*

        /// A tensor operation; see [`Op::def`] for what it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Op { $(
            #[doc = concat!("`", stringify!($module), "`; see [`Op::def`].")]
            $variant,
        )* }

        impl Op {
            /// All ops, in the order of their list.
            pub const ALL: &'static [Op] = &[$(Op::$variant,)*];

            /// All that is known of the op.
            pub fn def(self) -> &'static OpDef {
                const DEFS: &[&OpDef] = &[$(&$module::DEF,)*];
                DEFS[self as usize]
            }
        }
    };
}

ops! {
    input Input,
    constant Constant,
    add Add,
    exp Exp,
    reduce_sum ReduceSum,
    transpose Transpose,
    matmul MatMul,
}

/// What kind of op this is; passes decide by class, not by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No operands: inputs and constants, given from outside.
    Leaf,
    /// Each output element is a scalar function of the operands' elements at the same coordinates; operands have the
    /// output's rank, and dims of size 1 are broadcast.
    Elementwise,
    /// Each output element is one element of the first operand, or a constant.
    Movement,
    /// Combines elements along axes; reduced axes stay, with size 1.
    Reduce,
    /// Sums of products.
    Contraction,
    /// Slides a window over spatial dims.
    Window,
    /// Puts tensors side by side along one axis.
    Concatenation,
    /// Anything else.
    Other,
}

/// How far results of different implementations may lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tolerance {
    /// Bit for bit equal.
    Exact,
    /// A few units in the last place.
    Rounding,
    /// Sums of many products in any order.
    Accumulation,
}

/// The operands of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Exactly these.
    Fixed(&'static [&'static str]),
    /// One or more of the same kind.
    Variadic(&'static str),
}

/// A declared attribute; all declared attributes must be present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttrSpec {
    /// The name.
    pub name: &'static str,
    /// The kind of value.
    pub kind: AttrKind,
    /// What it means.
    pub doc: &'static str,
}

/// Everything that is known of an op.
pub struct OpDef {
    /// The name in the text form.
    pub name: &'static str,
    /// What the op computes.
    pub doc: &'static str,
    /// The operands.
    pub operands: Operands,
    /// The attributes.
    pub attrs: &'static [AttrSpec],
    /// The kind of op.
    pub class: Class,
    /// Whether the operands of a binary op may be swapped.
    pub commutative: bool,
    /// How exact the op is.
    pub tolerance: Tolerance,
    /// The result's type. Called with operands and attributes that fit their declarations.
    pub infer: fn(&[&TensorType], &Attrs) -> Result<TensorType, TypeError>,
    /// The reference implementation: slow and obvious. Sums accumulate in f64. Called with the operands, the attributes with
    /// all symbols bound and the result's type, all as `infer` accepts them; `None` when the result does not fit memory.
    pub eval: fn(&[&Tensor], &Attrs, &TensorType) -> Option<Tensor>,
    /// The definition that kernels are made from; `None` for leaves. Called with types as `infer` accepts them.
    pub lower: fn(&[&TensorType], &Attrs, &TensorType) -> Option<Compute>,
}

impl Op {
    /// The op of that name.
    pub fn from_name(name: &str) -> Option<Op> {
        Op::ALL.iter().copied().find(|op| op.name() == name)
    }

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        self.def().name
    }

    /// Checks operands and attributes and gives the result's type.
    ///
    /// # Errors
    /// [`TypeError`] naming the op and the rule that is broken.
    pub fn infer(self, operands: &[&TensorType], attrs: &Attrs) -> Result<TensorType, TypeError> {
        let def = self.def();
        let count_fits = match def.operands {
            Operands::Fixed(names) => names.len() == operands.len(),
            Operands::Variadic(_) => !operands.is_empty(),
        };
        if !count_fits {
            return Err(invalid(self, format!("{} operands given, {:?} expected", operands.len(), def.operands)));
        }
        for spec in def.attrs {
            if attrs.get(spec.name).map(|attr| attr.kind()) != Some(spec.kind) {
                return Err(invalid(self, format!("attribute `{}` of kind {:?} expected", spec.name, spec.kind)));
            }
        }
        if let Some((name, _)) = attrs.iter().find(|(name, _)| def.attrs.iter().all(|spec| spec.name != *name)) {
            return Err(invalid(self, format!("unknown attribute `{name}`")));
        }
        (def.infer)(operands, attrs)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A [`TypeError::Invalid`] of this op.
pub(crate) fn invalid(op: Op, problem: impl Into<String>) -> TypeError {
    TypeError::Invalid { op: op.name(), problem: problem.into() }
}
