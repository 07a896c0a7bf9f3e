//! The definition of a kernel before it is scheduled: what each output element is, as a function of its position.
//!
//! Each tensor op lowers to one [`Compute`]. Fusion inlines one compute into another by substituting coordinates; a schedule
//! turns the result into a [`crate::kernel::Kernel`]. Neither knows any op.

use crate::dim::{Dim, Symbol};
use crate::kernel::Cond;
use crate::number::Number;
use crate::scalar::{BinaryOp, ReduceOp, UnaryOp};
use crate::types::{DType, TensorType};

/// The position of a step in its [`Body`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub u32);

/// One scalar computation; operands are earlier steps of the same body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Element `coords` of input `input` where `valid` holds; `otherwise` (a constant step) elsewhere.
    Load {
        /// The position of the input.
        input: u32,
        /// One coordinate per dimension of the input, over axes and dynamic symbols.
        coords: Vec<Dim>,
        /// Where the element exists.
        valid: Cond,
        /// The bits of the `f64` value (float types) or the integer value used where it does not.
        otherwise: u64,
    },
    /// A floating-point constant by the bits of its `f64` value.
    Float(DType, u64),
    /// An integer or bool constant.
    Int(DType, i64),
    /// An integer expression over axes and model symbols as a value.
    Index(Dim, DType),
    /// Makes an integer step available to coordinates of later steps as `symbol`; its value is that integer.
    Dynamic(Symbol, StepId),
    /// An operation on one value.
    Unary(UnaryOp, StepId),
    /// An operation on two values of one type.
    Binary(BinaryOp, StepId, StepId),
    /// A sum of four products of bytes, as in [`crate::kernel::Scalar::Dot4`].
    Dot4(StepId, StepId, StepId),
    /// The bits of another type of the same size.
    Bitcast(DType, StepId),
    /// The second where the first (a bool) is true, else the third.
    Select(StepId, StepId, StepId),
    /// The first where the condition holds, else the second.
    SelectIf(Cond, StepId, StepId),
    /// A conversion, as in [`crate::kernel::Scalar::Cast`].
    Cast(DType, StepId),
    /// The result of the reduction; only in the epilogue, and in a score.
    Reduced,
}

impl Step {
    /// The steps that this one uses.
    pub fn operands(&self) -> Vec<StepId> {
        match self {
            Step::Load { .. } | Step::Float(..) | Step::Int(..) | Step::Index(..) | Step::Reduced => Vec::new(),
            Step::Dynamic(_, x) | Step::Unary(_, x) | Step::Cast(_, x) | Step::Bitcast(_, x) => vec![*x],
            Step::Binary(_, x, y) | Step::SelectIf(_, x, y) => vec![*x, *y],
            Step::Select(x, y, z) | Step::Dot4(x, y, z) => vec![*x, *y, *z],
        }
    }

    /// The dims that it mentions: coordinates, conditions, an index.
    pub fn dims(&self) -> Vec<&Dim> {
        match self {
            Step::Load { coords, valid, .. } => coords.iter().chain(&valid.0).collect(),
            Step::Index(dim, _) => vec![dim],
            Step::SelectIf(cond, _, _) => cond.0.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The same step on other steps.
    pub fn with_operands(&self, of: &dyn Fn(StepId) -> StepId) -> Self {
        match self {
            Step::Load { .. } | Step::Float(..) | Step::Int(..) | Step::Index(..) | Step::Reduced => self.clone(),
            Step::Dynamic(symbol, x) => Step::Dynamic(symbol.clone(), of(*x)),
            Step::Unary(op, x) => Step::Unary(*op, of(*x)),
            Step::Cast(dtype, x) => Step::Cast(*dtype, of(*x)),
            Step::Bitcast(dtype, x) => Step::Bitcast(*dtype, of(*x)),
            Step::Dot4(x, y, total) => Step::Dot4(of(*x), of(*y), of(*total)),
            Step::Binary(op, x, y) => Step::Binary(*op, of(*x), of(*y)),
            Step::SelectIf(cond, x, y) => Step::SelectIf(cond.clone(), of(*x), of(*y)),
            Step::Select(test, x, y) => Step::Select(of(*test), of(*x), of(*y)),
        }
    }
}

/// Scalar steps in SSA form; the last one is the result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Body {
    /// The steps in order.
    pub steps: Vec<Step>,
}

impl Body {
    /// Appends a step.
    pub fn push(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len() as u32 - 1)
    }

    /// Appends an unconditional load.
    pub fn load(&mut self, input: u32, coords: Vec<Dim>) -> StepId {
        self.push(Step::Load { input, coords, valid: Cond::default(), otherwise: 0 })
    }

    /// Appends a floating-point constant.
    pub fn float(&mut self, dtype: DType, value: f64) -> StepId {
        self.push(Step::Float(dtype, value.to_bits()))
    }

    /// Appends a constant.
    pub fn constant(&mut self, value: Number) -> StepId {
        self.push(match value {
            Number::Float(dtype, value) => Step::Float(dtype, value.to_bits()),
            Number::Int(dtype, value) => Step::Int(dtype, value),
        })
    }

    /// Appends a constant of any type.
    pub fn number(&mut self, dtype: DType, value: f64) -> StepId {
        self.constant(Number::float(dtype, value))
    }

    /// Appends an operation on one value.
    pub fn unary(&mut self, op: UnaryOp, x: StepId) -> StepId {
        self.push(Step::Unary(op, x))
    }

    /// Appends an operation on two values.
    pub fn binary(&mut self, op: BinaryOp, x: StepId, y: StepId) -> StepId {
        self.push(Step::Binary(op, x, y))
    }

    /// Whether a symbol occurs in it.
    pub fn mentions(&self, symbol: &Symbol) -> bool {
        self.steps.iter().flat_map(Step::dims).any(|dim| dim.mentions(symbol))
    }

    /// The type of each step, where inputs and [`Step::Reduced`] have the types given.
    pub fn dtypes(&self, input: impl Fn(u32) -> DType, reduced: DType) -> Vec<DType> {
        let mut dtypes: Vec<DType> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let of = |id: &StepId| dtypes.get(id.0 as usize).copied().unwrap_or(DType::I32);
            dtypes.push(match step {
                Step::Load { input: position, .. } => input(*position),
                Step::Float(dtype, _) | Step::Int(dtype, _) | Step::Index(_, dtype) => *dtype,
                Step::Cast(dtype, _) | Step::Bitcast(dtype, _) => *dtype,
                Step::Binary(op, ..) if op.is_comparison() => DType::Bool,
                Step::Unary(_, x)
                | Step::Binary(_, x, _)
                | Step::Select(_, x, _)
                | Step::SelectIf(_, x, _)
                | Step::Dynamic(_, x) => of(x),
                Step::Dot4(_, _, total) => of(total),
                Step::Reduced => reduced,
            });
        }
        dtypes
    }

    /// The last step, if there is one.
    pub fn result(&self) -> Option<StepId> {
        self.steps.len().checked_sub(1).map(|last| StepId(last as u32))
    }
}

/// A loop of the iteration space: a symbol in `0..extent`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// The loop variable.
    pub symbol: Symbol,
    /// The number of iterations.
    pub extent: Dim,
}

impl Axis {
    /// An axis with a fresh symbol of that name. Names must be unique within one compute; see [`axes`].
    pub fn new(name: impl Into<String>, extent: &Dim) -> Self {
        Self { symbol: Symbol::index(name, extent), extent: extent.clone() }
    }

    /// The loop variable as a dim.
    pub fn dim(&self) -> Dim {
        Dim::symbol(&self.symbol)
    }
}

/// Axes `%o0, %o1, ..` for the dims of an output.
pub fn axes(prefix: &str, dims: &[Dim]) -> Vec<Axis> {
    dims.iter().enumerate().map(|(position, dim)| Axis::new(format!("%{prefix}{position}"), dim)).collect()
}

/// A reduction over further axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduction {
    /// How values combine.
    pub op: ReduceOp,
    /// The type in which they combine.
    pub dtype: DType,
    /// The axes that are reduced, outermost first.
    pub axes: Vec<Axis>,
    /// The value at one point of output and reduction axes.
    pub value: Body,
    /// What each value of a sum of floats is multiplied with, if anything.
    pub weight: Option<Box<Softmax>>,
}

impl Reduction {
    /// All bodies.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        let weight = self.weight.iter().flat_map(|weight| [&weight.left, &weight.right, &weight.score]);
        weight.chain([&self.value])
    }

    /// The reduction with all bodies replaced.
    #[must_use]
    pub fn map_bodies(&self, mut replace: impl FnMut(&Body) -> Body) -> Self {
        let weight = self.weight.as_ref().map(|weight| {
            let (left, right, score) = (replace(&weight.left), replace(&weight.right), replace(&weight.score));
            Box::new(Softmax { left, right, score, ..weight.as_ref().clone() })
        });
        Self { value: replace(&self.value), weight, ..self.clone() }
    }

    /// All axes: those that are reduced, and those of sums within.
    pub fn all_axes(&self) -> impl Iterator<Item = &Axis> {
        self.axes.iter().chain(self.weight.iter().flat_map(|weight| &weight.axes))
    }
}

/// Weights along the axes of a reduction: powers of `e` whose exponents are scores, divided by their sum. All of it is f32.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axes of the sum of products that the score is made from.
    pub axes: Vec<Axis>,
    /// The first factor of these products; does not depend on the axes of the reduction.
    pub left: Body,
    /// The second factor.
    pub right: Body,
    /// The score; [`Step::Reduced`] is the sum of products.
    pub score: Body,
    /// The points of the reduction that take part; if there are none, the result is not a number.
    pub valid: Cond,
}

impl Softmax {
    /// Whether scores depend on a symbol.
    pub fn mentions(&self, symbol: &Symbol) -> bool {
        let bodies = [&self.left, &self.right, &self.score];
        bodies.iter().any(|body| body.mentions(symbol)) || self.valid.0.iter().any(|part| part.mentions(symbol))
    }
}

/// What each element of an output is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compute {
    /// The types of the inputs that loads refer to.
    pub inputs: Vec<TensorType>,
    /// The type of the output.
    pub output: TensorType,
    /// The iteration space of the output.
    pub axes: Vec<Axis>,
    /// The output coordinates as functions of the axes: a bijection between iteration points and elements.
    pub coords: Vec<Dim>,
    /// The reduction, if there is one.
    pub reduction: Option<Reduction>,
    /// The value of the element; may use [`Step::Reduced`] if there is a reduction.
    pub result: Body,
}

impl Compute {
    /// A compute without reduction over the plain axes of the output; `fill` writes its body.
    pub fn map(inputs: &[&TensorType], output: &TensorType, fill: impl FnOnce(&mut Body, &[Dim])) -> Self {
        let axes = axes("o", &output.dims);
        let coords: Vec<Dim> = axes.iter().map(Axis::dim).collect();
        let mut result = Body::default();
        fill(&mut result, &coords);
        Self {
            inputs: inputs.iter().map(|ty| (*ty).clone()).collect(),
            output: output.clone(),
            axes,
            coords,
            reduction: None,
            result,
        }
    }
}

/// The coordinates at which an operand of type `ty` is read for the output coordinates `coords`: dims of size 1 are
/// broadcast.
pub fn broadcast_coords(ty: &TensorType, coords: &[Dim]) -> Vec<Dim> {
    ty.dims.iter().zip(coords).map(|(dim, coord)| if dim.is(1) { 0.into() } else { coord.clone() }).collect()
}
