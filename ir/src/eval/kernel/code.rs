//! Kernels with compiled dims.

use crate::dim::{Bindings, Dim, Symbol};
use crate::eval::EvalError;
use crate::eval::index::{Index, Slots};
use crate::kernel::{Cond, Kernel, LoopKind, Operand, Place, Scalar, Stmt};
use crate::scalar::ReduceOp;
use crate::types::DType;

/// A compiled kernel.
pub(super) struct Program {
    pub(super) grid: Index,
    pub(super) item: usize,
    pub(super) symbols: Vec<usize>,
    pub(super) body: Vec<Code>,
    pub(super) slot_count: usize,
    pub(super) value_count: usize,
}

/// A compiled statement.
pub(super) enum Code {
    Loop { slot: usize, extent: Index, body: Vec<Code> },
    Threads { slot: usize, body: Vec<Code> },
    Vector { slot: usize, extent: Index, active: Option<Index>, body: Vec<Code> },
    Let { id: usize, value: Value },
    LetIndex { slot: usize, value: Operand },
    SetRow { row: usize, at: Index, offset: Index, valid: Vec<Index> },
    Nothing,
    Store { place: Target, value: Operand },
    Reduce { op: ReduceOp, local: usize, stride: usize },
    If { cond: Vec<Index>, then: Vec<Code>, otherwise: Vec<Code> },
}

/// A compiled right side of a `Let`.
pub(super) enum Value {
    Load(Target, Option<(Vec<Index>, Operand)>),
    Index(Index, DType),
    SelectIf(Vec<Index>, Operand, Operand),
    Plain(Scalar),
}

/// A compiled [`Place`].
pub(super) enum Target {
    Buffer(usize, Index),
    Local(usize, Index),
    Row(usize, Index, Index),
}

impl Target {
    /// The type of the element.
    pub(super) fn dtype(&self, kernel: &Kernel) -> DType {
        match self {
            Self::Buffer(buffer, _) => kernel.buffers[*buffer].dtype,
            Self::Local(local, _) => kernel.locals[*local].dtype,
            Self::Row(row, ..) => kernel.buffers[kernel.rows[*row].buffer.0 as usize].dtype,
        }
    }
}

impl Program {
    /// Compiles a kernel.
    pub(super) fn new(kernel: &Kernel) -> Result<Self, EvalError> {
        if kernel.rows.iter().any(|row| row.buffer.0 as usize >= kernel.buffers.len()) {
            return Err(EvalError::Fault("a row of a buffer that does not exist".to_string()));
        }
        let mut compiler = Compiler { kernel, slots: Slots::default(), value_count: 0 };
        let symbols = kernel.symbols.iter().map(|symbol| compiler.slots.declare(symbol)).collect();
        let grid = compiler.index(&kernel.grid)?;
        let item = compiler.slots.declare(&kernel.item);
        let body = compiler.block(&kernel.body)?;
        let (slot_count, value_count) = (compiler.slots.len(), compiler.value_count);
        Ok(Self { grid, item, symbols, body, slot_count, value_count })
    }
}

struct Compiler<'a> {
    kernel: &'a Kernel,
    slots: Slots,
    value_count: usize,
}

impl Compiler<'_> {
    fn block(&mut self, body: &[Stmt]) -> Result<Vec<Code>, EvalError> {
        body.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn index(&self, dim: &Dim) -> Result<Index, EvalError> {
        let unknown = || EvalError::Fault(format!("a symbol of {dim} is not defined"));
        self.slots.compile(dim, &Bindings::new()).ok_or_else(unknown)
    }

    fn cond(&self, cond: &Cond) -> Result<Vec<Index>, EvalError> {
        cond.0.iter().map(|part| self.index(part)).collect()
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<Code, EvalError> {
        Ok(match stmt {
            Stmt::For { var, extent, kind, body } => self.loops(var, extent, kind, body)?,
            Stmt::Let { id, value } => {
                self.value_count = self.value_count.max(self.checked(id.0, 1 << 24, "value")? + 1);
                Code::Let { id: id.0 as usize, value: self.value(value)? }
            }
            Stmt::LetIndex { symbol, value } => Code::LetIndex { slot: self.slots.declare(symbol), value: value.clone() },
            Stmt::SetRow { row, at, offset, valid } => Code::SetRow {
                row: self.checked(row.0, self.kernel.rows.len() as u32, "row")?,
                at: self.index(at)?,
                offset: self.index(offset)?,
                valid: self.cond(valid)?,
            },
            Stmt::Prefetch(..) => Code::Nothing,
            Stmt::Reduce { op, local, stride } => Code::Reduce {
                op: *op,
                local: self.checked(local.0, self.kernel.locals.len() as u32, "local")?,
                stride: *stride as usize,
            },
            Stmt::Store { place, value } => Code::Store { place: self.place(place)?, value: value.clone() },
            Stmt::If { cond, then, otherwise } => {
                Code::If { cond: self.cond(cond)?, then: self.block(then)?, otherwise: self.block(otherwise)? }
            }
        })
    }

    fn loops(&mut self, var: &Symbol, extent: &Dim, kind: &LoopKind, body: &[Stmt]) -> Result<Code, EvalError> {
        let extent = self.index(extent)?;
        let active = match kind {
            LoopKind::Vector { active: Some(active) } => Some(self.index(active)?),
            _ => None,
        };
        let slot = self.slots.declare(var);
        let body = self.block(body)?;
        Ok(match kind {
            LoopKind::Serial | LoopKind::Unrolled => Code::Loop { slot, extent, body },
            LoopKind::Vector { .. } => Code::Vector { slot, extent, active, body },
            LoopKind::Threads => Code::Threads { slot, body },
        })
    }

    fn checked(&self, number: u32, count: u32, what: &str) -> Result<usize, EvalError> {
        if number < count { Ok(number as usize) } else { Err(EvalError::Fault(format!("{what} {number} does not exist"))) }
    }

    fn place(&self, place: &Place) -> Result<Target, EvalError> {
        Ok(match place {
            Place::Buffer(id, index) => {
                Target::Buffer(self.checked(id.0, self.kernel.buffers.len() as u32, "buffer")?, self.index(index)?)
            }
            Place::Local(id, index) => {
                Target::Local(self.checked(id.0, self.kernel.locals.len() as u32, "local")?, self.index(index)?)
            }
            Place::Row(id, at, index) => {
                let row = self.checked(id.0, self.kernel.rows.len() as u32, "row")?;
                Target::Row(row, self.index(at)?, self.index(index)?)
            }
        })
    }

    fn value(&self, scalar: &Scalar) -> Result<Value, EvalError> {
        Ok(match scalar {
            Scalar::Load(place) => Value::Load(self.place(place)?, None),
            Scalar::LoadIf { place, valid, otherwise } => {
                Value::Load(self.place(place)?, Some((self.cond(valid)?, otherwise.clone())))
            }
            Scalar::Index(dim, dtype) => Value::Index(self.index(dim)?, *dtype),
            Scalar::SelectIf(cond, x, y) => Value::SelectIf(self.cond(cond)?, x.clone(), y.clone()),
            other => Value::Plain(other.clone()),
        })
    }
}
