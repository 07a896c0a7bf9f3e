//! Kernel IR: one scheduled, fused loop nest; all that a target ever sees.
//!
//! A kernel runs once for each **work item** `0..grid`. Work items are independent and may run in any order on any thread.
//! Within a work item, statements run in order. All integers that steer the kernel (bounds, indices, conditions) are [`Dim`]s over
//! three kinds of symbols: the model's dimension symbols ([`Kernel::symbols`], given at run time in that order), the work
//! item ([`Kernel::item`]) and the loop variables in scope. Indices count elements of the buffer they address.
//!
//! Scalars are in SSA form: each [`Stmt::Let`] defines a [`ValueId`] once, visible to the statements after it in the same
//! block and in blocks nested in it. Inside a [`LoopKind::Vector`] loop a value has one lane per iteration; a value that does
//! not depend on the lane may be kept as a scalar. Vector loops do not nest and contain no other loops.
//! Mutable state lives in buffers and in **locals**: small arrays of a work item or thread. A target keeps them in registers, so their
//! indices are constants once unrolled loops are expanded (except for the lane); those of locals in [`Storage::Memory`] may be
//! anything.
//!
//! In a kernel with [`LoopKind::Threads`] loops, the grid counts **workgroups** of **threads** instead. The iterations of such a loop
//! run at once, one on each thread, each with its own locals except for those in [`Storage::Shared`]; the next statement begins when
//! all have ended. All such loops of a kernel have the same number of iterations, and iteration `t` of each runs on the same thread.
//! Outside of them such a kernel has only loops, conditions and [`Stmt::Reduce`], so that control flow is the same for all threads.
//! Within one such loop no thread touches what another writes.

use crate::dim::{Dim, Symbol};
use crate::scalar::{BinaryOp, ReduceOp, UnaryOp};
use crate::types::DType;

/// The position of a buffer among the kernel's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// The position of a local in [`Kernel::locals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// The position of a row array in [`Kernel::rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub u32);

/// An SSA value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// One fused loop nest; see the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// A name for reports, made of letters, digits and underscores; not necessarily unique.
    pub name: String,
    /// The model symbols that the body uses, in the order in which their values are passed.
    pub symbols: Vec<Symbol>,
    /// The work item or workgroup, in `0..grid`.
    pub item: Symbol,
    /// The number of work items, or of workgroups if the kernel has threads.
    pub grid: Dim,
    /// The arguments.
    pub buffers: Vec<BufferDecl>,
    /// Arrays of a work item or thread.
    pub locals: Vec<LocalDecl>,
    /// Arrays of guarded row addresses.
    pub rows: Vec<RowDecl>,
    /// What one work item or workgroup does.
    pub body: Vec<Stmt>,
}

impl Kernel {
    /// The threads of a workgroup; `None` without [`LoopKind::Threads`] loops.
    pub fn threads(&self) -> Option<u32> {
        threads(&self.body)
    }
}

fn threads(body: &[Stmt]) -> Option<u32> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::For { extent, kind: LoopKind::Threads, .. } => extent.as_constant().and_then(|count| u32::try_from(count).ok()),
        Stmt::For { body, .. } => threads(body),
        Stmt::If { then, otherwise, .. } => threads(then).or_else(|| threads(otherwise)),
        _ => None,
    })
}

/// One argument of a kernel: memory that holds elements of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BufferDecl {
    /// A name for people.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// Whether the kernel writes to it.
    pub writable: bool,
    /// The number of pieces that it is split into on machines that cannot address all of it at once; 1 elsewhere. The target decides
    /// how large a piece is.
    pub pieces: u32,
}

/// An array of a work item or thread, or of a workgroup in [`Storage::Shared`]; uninitialized at the start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalDecl {
    /// A name for people.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The number of elements.
    pub len: u32,
    /// Where it lies.
    pub storage: Storage,
}

/// Where a local lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Registers: indices are constants once unrolled loops are expanded, except for the lane.
    Registers,
    /// Fast memory, which indices of any form address.
    Memory,
    /// Fast memory that all threads of a workgroup share, which indices of any form address. Only inside of
    /// [`LoopKind::Threads`] loops.
    Shared,
}

/// An array of row addresses, each set by [`Stmt::SetRow`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowDecl {
    /// A name for people.
    pub name: String,
    /// The buffer that the rows point into.
    pub buffer: BufferId,
    /// The number of addresses.
    pub len: u32,
    /// Elements that may be read through the address of a row that does not exist.
    pub extent: u32,
}

/// How a loop runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LoopKind {
    /// One iteration after another.
    Serial,
    /// Expanded by the target; the extent is a constant.
    Unrolled,
    /// All iterations at once, one lane each; the extent is a constant power of two, at most 64.
    Vector {
        /// When given, only the first `active` lanes run: loads of the others give 0, their stores do nothing.
        active: Option<Dim>,
    },
    /// All iterations at once, one thread of the workgroup each; the extent is a constant, at most 1024, and the same for all such
    /// loops of a kernel. Ends when all threads have, which then see what the others wrote. Neither in a vector loop nor in another
    /// loop of this kind.
    Threads,
}

/// A condition: all of the dims, its terms, are at least 0. Without terms it is always true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cond(pub Vec<Dim>);

impl Cond {
    /// Holds when `low <= value < high`.
    pub fn within(value: &Dim, low: &Dim, high: &Dim) -> Self {
        Self(vec![value.clone() - low.clone(), high.clone() - value.clone() - 1.into()])
    }

    /// Holds when both hold.
    pub fn and(mut self, other: Cond) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The condition without the terms that always hold by the ranges of the symbols.
    pub fn simplify(mut self) -> Self {
        self.0.retain(|term| term.bounds().0 < 0);
        self.0.sort();
        self.0.dedup();
        self
    }

    /// Whether the condition has no terms.
    pub fn always(&self) -> bool {
        self.0.is_empty()
    }
}

/// One step of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Runs `body` for `var` in `0..extent`.
    For {
        /// The loop variable.
        var: Symbol,
        /// The number of iterations; at most 0 means none.
        extent: Dim,
        /// How the iterations run.
        kind: LoopKind,
        /// What each iteration does.
        body: Vec<Stmt>,
    },
    /// Defines a value.
    Let {
        /// The value; defined nowhere else.
        id: ValueId,
        /// What it is.
        value: Scalar,
    },
    /// Makes an integer value (i32 or i64, not lane-dependent unless in a vector loop) available to indices as `symbol`.
    LetIndex {
        /// The symbol that stands for the value in the statements after this one.
        symbol: Symbol,
        /// The integer.
        value: Operand,
    },
    /// Sets a row address: element 0 of the row is element `offset` of the row's buffer where `valid` holds; otherwise all
    /// reads through the address give 0.
    SetRow {
        /// Which array.
        row: RowId,
        /// Which address of it; a constant after unrolling.
        at: Dim,
        /// The buffer element that the row starts at.
        offset: Dim,
        /// When the row exists.
        valid: Cond,
    },
    /// Asks the machine to load an element of a buffer into its cache. Changes nothing, and the element need not exist.
    Prefetch(BufferId, Dim),
    /// Writes `value` to a buffer or local.
    Store {
        /// Where to.
        place: Place,
        /// What.
        value: Operand,
    },
    /// Reduces what threads have left in shared memory, all of them together and in any order. The local holds one element for each
    /// thread, or several rows of them. Of each row, the elements that are a multiple of `stride` apart are reduced to the first
    /// of them; the others have no value afterwards. Only outside of [`LoopKind::Threads`] loops.
    Reduce {
        /// How two elements become one.
        op: ReduceOp,
        /// A local in [`Storage::Shared`], whose length is a multiple of the threads.
        local: LocalId,
        /// A power of two, as the number of threads is, and less than it.
        stride: u32,
    },
    /// Runs one of two blocks. The condition may depend on the lane only where both blocks hold nothing but stores and lets.
    If {
        /// Which block runs.
        cond: Cond,
        /// Runs when the condition holds.
        then: Vec<Stmt>,
        /// Runs otherwise.
        otherwise: Vec<Stmt>,
    },
}

/// An element of a buffer, a local or a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An element of an argument.
    Buffer(BufferId, Dim),
    /// An element of a local array.
    Local(LocalId, Dim),
    /// Element `index` of the row at address `at`: `(row, at, index)`. Read only.
    Row(RowId, Dim, Dim),
}

/// An operand of a scalar operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The result of a `Let`.
    Value(ValueId),
    /// A floating-point constant of the given type, by the bits of its `f64` value.
    Float(DType, u64),
    /// An integer or bool constant of the given type.
    Int(DType, i64),
}

impl Operand {
    /// A floating-point constant.
    pub fn float(dtype: DType, value: f64) -> Self {
        Self::Float(dtype, value.to_bits())
    }
}

/// The right side of a `Let`. Both operands of a binary operation have the same type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Reads an element.
    Load(Place),
    /// Reads an element where `valid` holds (it may depend on the lane); `otherwise` elsewhere, without touching memory.
    LoadIf {
        /// The element.
        place: Place,
        /// When to read it.
        valid: Cond,
        /// The result where the condition does not hold.
        otherwise: Operand,
    },
    /// An integer expression as a value of an integer or floating-point type.
    Index(Dim, DType),
    /// An operation on one value.
    Unary(UnaryOp, Operand),
    /// An operation on two values.
    Binary(BinaryOp, Operand, Operand),
    /// `a * b + c`, fused where the target can.
    MulAdd(Operand, Operand, Operand),
    /// The four bytes of the first, a u32, times those of the second, a u32 whose bytes are signed, summed and added to the third,
    /// an i32, which wraps.
    Dot4(Operand, Operand, Operand),
    /// The second operand where the first (a bool) is true, the third elsewhere.
    Select(Operand, Operand, Operand),
    /// The second operand where `Cond` holds, the third elsewhere.
    SelectIf(Cond, Operand, Operand),
    /// A conversion. Float to integer truncates and saturates; to bool tests for nonzero.
    Cast(DType, Operand),
    /// The same bits as another type of equal size.
    Bitcast(DType, Operand),
    /// `x << n` for a constant `n`.
    ShiftLeft(Operand, u32),
    /// `x >> n` for a constant `n`; keeps the sign of signed types.
    ShiftRight(Operand, u32),
}
