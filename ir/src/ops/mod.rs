//! The tensor operations: one file each, which holds all that is known of the op, and one line in the list below.

use crate::attrs::{Attr, AttrKind, Attrs};
use crate::compute::Compute;
use crate::dim::Dim;
use crate::random::Random;
use crate::tensor::Tensor;
use crate::types::TensorType;
use std::fmt;
use thiserror::Error;

mod common;

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
    state State,
    full Full,
    iota Iota,
    dim_value DimValue,
    neg Neg,
    abs Abs,
    exp Exp,
    log Log,
    sqrt Sqrt,
    recip Recip,
    tanh Tanh,
    erf Erf,
    sin Sin,
    cos Cos,
    tan Tan,
    atan Atan,
    sigmoid Sigmoid,
    floor Floor,
    ceil Ceil,
    round Round,
    sign Sign,
    not Not,
    is_nan IsNan,
    cast Cast,
    clip Clip,
    relu Relu,
    leaky_relu LeakyRelu,
    elu Elu,
    silu Silu,
    gelu Gelu,
    gelu_tanh GeluTanh,
    hard_sigmoid HardSigmoid,
    hard_swish HardSwish,
    softplus Softplus,
    softsign Softsign,
    add Add,
    sub Sub,
    mul Mul,
    div Div,
    pow Pow,
    minimum Minimum,
    maximum Maximum,
    modulo Modulo,
    remainder Remainder,
    equal Equal,
    less Less,
    less_equal LessEqual,
    and And,
    or Or,
    xor Xor,
    select Where,
    reduce_sum ReduceSum,
    reduce_prod ReduceProd,
    reduce_max ReduceMax,
    reduce_min ReduceMin,
    reduce_mean ReduceMean,
    cumsum Cumsum,
    transpose Transpose,
    reshape Reshape,
    broadcast Broadcast,
    slice Slice,
    pad Pad,
    concat Concat,
    unpack_panels UnpackPanels,
    update_slice UpdateSlice,
    gather Gather,
    dequantize Dequantize,
    pack_bytes PackBytes,
    block_matmul BlockMatMul,
    matmul MatMul,
    attention Attention,
    conv Conv,
    conv_transpose ConvTranspose,
    max_pool MaxPool,
    avg_pool AvgPool,
    resize Resize,
}

/// What kind of op this is; passes decide by class, not by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No operands: inputs and constants, given from outside.
    Leaf,
    /// Each output element is a scalar function of its coordinates and of the operands' elements there; operands have the
    /// output's rank, and dims of size 1 are broadcast. There may be no operands.
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
    /// The first operand with a part of it replaced by the second.
    Update,
    /// Decodes constants from their storage format: recomputed at every use, and never folded.
    Decode,
    /// The memory of the operand under another type and shape.
    Reinterpretation,
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

/// What an op does to make its result, for cost models. The bytes that it moves follow from its types.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Nothing when a graph runs: the result is given, or is the memory of the operand.
    Nothing,
    /// This many simple scalar operations per element of the result.
    Scalar(f64),
    /// One scalar operation per element of the operands.
    Operands,
    /// One scalar operation per element of the result and position of the window (attribute `kernel`, if there is one).
    Window,
    /// Multiply-adds, one for each point of a loop nest: its extents, of operand types, attributes and result type.
    MultiplyAdds(fn(&[&TensorType], &Attrs, &TensorType) -> Vec<Dim>),
    /// Copies elements of the operands in their order.
    Copy,
    /// Copies elements with the axes in another order.
    Permutation,
    /// Reads only those elements that the result has; nearly always done by the users of the result.
    Selection,
    /// Copies operands to where they belong in the result; nearly always done by what makes or uses them.
    Assembly,
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
    /// What it takes to compute the result.
    pub work: Work,
    /// The result's type. Called with operands and attributes that fit their declarations.
    pub infer: fn(&[&TensorType], &Attrs) -> Result<TensorType, TypeError>,
    /// The reference implementation: slow and obvious. Sums accumulate in f64. Called with the operands, the attributes with
    /// all symbols bound and the result's type, all as `infer` accepts them; `None` when the result does not fit memory.
    pub eval: fn(&[&Tensor], &Attrs, &TensorType) -> Option<Tensor>,
    /// The definition that kernels are made from; `None` for leaves and concatenations. Called
    /// with types as `infer` accepts them.
    pub lower: fn(&[&TensorType], &Attrs, &TensorType) -> Option<Compute>,
    /// Random operands and attributes that `infer` accepts, for tests.
    pub sample: fn(&mut Random) -> Sample,
}

/// Operand types and attributes for one test of an op.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The types of the operands; all sizes are constants.
    pub operands: Vec<TensorType>,
    /// The attributes.
    pub attrs: Attrs,
}

impl Sample {
    /// The same operands with one more attribute.
    pub fn with(self, name: &'static str, value: impl Into<Attr>) -> Self {
        Self { attrs: self.attrs.with(name, value), ..self }
    }
}

/// Why a node cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TypeError {
    /// Operands or attributes break the op's contract.
    #[error("`{op}`: {problem}")]
    Invalid {
        /// The op.
        op: &'static str,
        /// The broken rule.
        problem: String,
    },
    /// The op is meaningful but not implemented for these operands.
    #[error("`{op}` does not support {what}")]
    Unsupported {
        /// The op.
        op: &'static str,
        /// What is not supported, and what is instead.
        what: String,
    },
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

    /// Whether this is a tensor that a run is given: an input or a state.
    pub fn is_input(self) -> bool {
        matches!(self, Op::Input | Op::State)
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
