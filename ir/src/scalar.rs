//! The scalar operations that tensor definitions and kernels share.

/// Defines an enum of scalar operations with their text names, one line each.
macro_rules! scalar_ops {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            /// All operations of this kind.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name in the text form.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The operation of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|op| op.name() == name)
            }
        }
    };
}

scalar_ops! {
    /// Operations on one value. Results have the operand's type unless stated.
    UnaryOp {
        /// `-x`.
        Neg = "neg",
        /// `|x|`.
        Abs = "abs",
        /// `e` to the power of `x`.
        Exp = "exp",
        /// Natural logarithm.
        Log = "log",
        /// Square root.
        Sqrt = "sqrt",
        /// `1 / x`.
        Recip = "recip",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// The error function.
        Erf = "erf",
        /// Sine.
        Sin = "sin",
        /// Cosine.
        Cos = "cos",
        /// `1 / (1 + e^-x)`.
        Sigmoid = "sigmoid",
        /// The largest integer not above `x`.
        Floor = "floor",
        /// The smallest integer not below `x`.
        Ceil = "ceil",
        /// The nearest integer, ties to even.
        Round = "round",
        /// Logical negation of a bool.
        Not = "not",
    }
}

scalar_ops! {
    /// Operations on two values of one type. Comparisons give bool; all others give the operands' type.
    BinaryOp {
        /// `x + y`; integers wrap.
        Add = "add",
        /// `x - y`; integers wrap.
        Sub = "sub",
        /// `x * y`; integers wrap.
        Mul = "mul",
        /// `x / y`; integers truncate toward zero and give 0 for a zero divisor.
        Div = "div",
        /// `x` to the power of `y`; floats only.
        Pow = "pow",
        /// The smaller; NaN if either is NaN.
        Min = "min",
        /// The larger; NaN if either is NaN.
        Max = "max",
        /// Remainder with the sign of `y` (Python's `%`); 0 for a zero integer divisor.
        Mod = "mod",
        /// Remainder with the sign of `x` (C's `fmod`); 0 for a zero integer divisor.
        Rem = "rem",
        /// `x == y`.
        Eq = "eq",
        /// `x < y`.
        Lt = "lt",
        /// `x <= y`.
        Le = "le",
        /// Logical or bitwise and.
        And = "and",
        /// Logical or bitwise or.
        Or = "or",
        /// Logical or bitwise exclusive or.
        Xor = "xor",
        /// `x` shifted right by `y` bits, modulo its width; keeps the sign of signed types. Integers only.
        ShiftRight = "shift_right",
    }
}

impl BinaryOp {
    /// Whether the result is bool whatever the operands.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Lt | Self::Le)
    }

    /// Whether swapping the operands leaves the result unchanged.
    pub fn is_commutative(self) -> bool {
        !matches!(self, Self::Sub | Self::Div | Self::Pow | Self::Mod | Self::Rem | Self::Lt | Self::Le | Self::ShiftRight)
    }
}

scalar_ops! {
    /// How a reduction combines values.
    ReduceOp {
        /// Sum, starting at 0.
        Sum = "sum",
        /// Product, starting at 1.
        Prod = "prod",
        /// Largest, starting at the type's lowest value; NaN if any is NaN.
        Max = "max",
        /// Smallest, starting at the type's highest value; NaN if any is NaN.
        Min = "min",
    }
}

impl ReduceOp {
    /// The operation that combines two partial results.
    pub fn combine(self) -> BinaryOp {
        match self {
            Self::Sum => BinaryOp::Add,
            Self::Prod => BinaryOp::Mul,
            Self::Max => BinaryOp::Max,
            Self::Min => BinaryOp::Min,
        }
    }
}
