//! The interpreter of scheduled kernels.

mod code;
mod threads;

use super::index::{Index, holds};
use super::{EvalError, fault};
use crate::kernel::{BufferDecl, Kernel, Operand, Scalar};
use crate::number::Number;
use crate::types::DType;
use code::{Code, Program, Target, Value};
use threads::Threads;

/// Runs all work items or workgroups of a kernel, one after another, on the bytes of its buffers; `symbols` are the values of
/// [`Kernel::symbols`]. All lanes of a vector loop take each step together; threads of a workgroup run one after another.
///
/// # Errors
/// [`EvalError::Fault`] when the kernel breaks the rules of its representation: it reads or writes outside of a buffer, reads
/// what was never written, mixes types, or has threads that touch what another one writes.
pub fn eval_kernel(kernel: &Kernel, buffers: &mut [&mut [u8]], symbols: &[i64]) -> Result<(), EvalError> {
    if buffers.len() != kernel.buffers.len() || symbols.len() != kernel.symbols.len() {
        return fault(format!("kernel `{}` takes other buffers or symbols", kernel.name));
    }
    let program = Program::new(kernel)?;
    let mut machine = Machine {
        kernel,
        buffers,
        slots: vec![Lanes::Same(0); program.slot_count],
        values: vec![None; program.value_count],
        locals: Vec::new(),
        rows: Vec::new(),
        threads: Threads::new(kernel.threads()),
        lanes: 1,
        mask: 1,
    };
    for (slot, value) in program.symbols.iter().zip(symbols) {
        machine.slots[*slot] = Lanes::Same(*value);
    }
    for item in 0..machine.uniform(&program.grid) {
        machine.slots[program.item] = Lanes::Same(item);
        machine.begin_item();
        machine.run(&program.body)?;
    }
    Ok(())
}

/// One value for all lanes, or one for each.
#[derive(Clone, Debug)]
enum Lanes<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T: Copy> Lanes<T> {
    fn at(&self, lane: usize) -> Option<T> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.get(lane).copied(),
        }
    }
}

/// The elements of the locals.
type Locals = Vec<Vec<Option<Number>>>;

/// Row addresses: unset, absent, or the offset of element 0.
type Rows = Vec<Vec<Option<Option<i64>>>>;

/// The state of one work item or workgroup.
struct Machine<'a, 'b> {
    kernel: &'a Kernel,
    buffers: &'a mut [&'b mut [u8]],
    slots: Vec<Lanes<i64>>,
    values: Vec<Option<Lanes<Number>>>,
    locals: Locals,
    rows: Rows,
    threads: Threads,
    lanes: usize,
    /// The lanes that run, one bit each.
    mask: u64,
}

/// An element of the machine's state.
enum Cell {
    Buffer(usize, usize),
    Local(usize, usize),
    /// An element of an absent row.
    Absent(DType),
}

impl Machine<'_, '_> {
    fn run(&mut self, body: &[Code]) -> Result<(), EvalError> {
        body.iter().try_for_each(|code| self.step(code))
    }

    fn step(&mut self, code: &Code) -> Result<(), EvalError> {
        match code {
            Code::Loop { slot, extent, body } => {
                for value in 0..self.uniform(extent) {
                    self.slots[*slot] = Lanes::Same(value);
                    self.run(body)?;
                }
                Ok(())
            }
            Code::Threads { slot, body } => self.each_thread(*slot, body),
            Code::Vector { slot, extent, active, body } => self.vector(*slot, extent, active.as_ref(), body),
            Code::Let { id, value } => {
                let result = self.each(|machine, lane| machine.value(value, lane))?;
                self.values[*id] = Some(result);
                Ok(())
            }
            Code::LetIndex { slot, value } => {
                let result = self.each(|machine, lane| machine.integer(value, lane))?;
                self.slots[*slot] = result;
                Ok(())
            }
            Code::SetRow { row, at, offset, valid } => self.set_row(*row, at, offset, valid),
            Code::Nothing => Ok(()),
            Code::Store { place, value } => self.store(place, value),
            Code::Reduce { op, local, stride } => self.reduce(*op, *local, *stride),
            Code::If { cond, then, otherwise } => self.branch(cond, then, otherwise),
        }
    }

    /// Calculates something for each lane.
    fn each<T: Copy>(&self, make: impl Fn(&Self, usize) -> Result<T, EvalError>) -> Result<Lanes<T>, EvalError> {
        if self.lanes == 1 {
            return make(self, 0).map(Lanes::Same);
        }
        (0..self.lanes).map(|lane| make(self, lane)).collect::<Result<_, _>>().map(Lanes::Each)
    }

    fn index(&self, index: &Index, lane: usize) -> i64 {
        index.eval(&|slot: usize| self.slots.get(slot).and_then(|lanes| lanes.at(lane)).unwrap_or(0))
    }

    fn uniform(&self, index: &Index) -> i64 {
        self.index(index, 0)
    }

    fn holds(&self, cond: &[Index], lane: usize) -> bool {
        holds(cond, &|slot: usize| self.slots.get(slot).and_then(|lanes| lanes.at(lane)).unwrap_or(0))
    }

    fn runs(&self, lane: usize) -> bool {
        self.mask >> lane & 1 == 1
    }

    fn vector(&mut self, slot: usize, extent: &Index, active: Option<&Index>, body: &[Code]) -> Result<(), EvalError> {
        let width = self.uniform(extent);
        if self.lanes != 1 || !(1..=64).contains(&width) || width & (width - 1) != 0 {
            return fault(format!("a vector loop of {width} lanes"));
        }
        let active = active.map_or(width, |active| self.uniform(active)).clamp(0, width);
        self.slots[slot] = Lanes::Each((0..width).collect());
        self.lanes = width as usize;
        self.mask = if active == 0 { 0 } else { u64::MAX >> (64 - active) };
        let result = self.run(body);
        (self.lanes, self.mask) = (1, 1);
        result
    }

    fn branch(&mut self, cond: &[Index], then: &[Code], otherwise: &[Code]) -> Result<(), EvalError> {
        let whole = self.mask;
        let holding = (0..self.lanes).filter(|lane| self.holds(cond, *lane)).fold(0, |mask, lane| mask | 1 << lane);
        for (part, body) in [(whole & holding, then), (whole & !holding, otherwise)] {
            if part != 0 {
                self.mask = part;
                self.run(body)?;
            }
        }
        self.mask = whole;
        Ok(())
    }

    fn set_row(&mut self, row: usize, at: &Index, offset: &Index, valid: &[Index]) -> Result<(), EvalError> {
        let (at, offset, valid) = (self.uniform(at), self.uniform(offset), self.holds(valid, 0));
        let entry = self.rows.get_mut(row).and_then(|rows| rows.get_mut(usize::try_from(at).ok()?));
        match entry {
            Some(entry) => *entry = Some(valid.then_some(offset)),
            None => return fault(format!("row {row} has no address {at}")),
        }
        Ok(())
    }

    fn store(&mut self, place: &Target, value: &Operand) -> Result<(), EvalError> {
        let mask = self.mask;
        for lane in (0..self.lanes).filter(|lane| mask >> lane & 1 == 1) {
            let value = self.operand(value, lane)?;
            let cell = self.cell(place, lane)?;
            self.threads.touch(self.kernel, &cell, true)?;
            match cell {
                Cell::Buffer(buffer, at) => self.store_element(buffer, at, value)?,
                Cell::Local(local, at) => {
                    let decl = &self.kernel.locals[local];
                    if decl.dtype != value.dtype() {
                        return fault(format!("local `{}` holds {}, not {}", decl.name, decl.dtype, value.dtype()));
                    }
                    self.locals[local][at] = Some(value);
                }
                Cell::Absent(_) => return fault("a store to a row"),
            }
        }
        Ok(())
    }

    fn store_element(&mut self, buffer: usize, at: usize, value: Number) -> Result<(), EvalError> {
        let decl: &BufferDecl = &self.kernel.buffers[buffer];
        if !decl.writable || decl.dtype != value.dtype() {
            return fault(format!("buffer `{}` of {} takes no {}", decl.name, decl.dtype, value.dtype()));
        }
        let bytes = self.buffers[buffer].get_mut(at * decl.dtype.size()..);
        bytes.and_then(|bytes| value.write(bytes)).ok_or_else(|| outside(decl, at as i64))
    }

    /// The element that a place stands for.
    fn cell(&self, place: &Target, lane: usize) -> Result<Cell, EvalError> {
        match place {
            Target::Buffer(buffer, index) => self.element(*buffer, self.index(index, lane)),
            Target::Local(local, index) => {
                let (decl, at) = (&self.kernel.locals[*local], self.index(index, lane));
                let position = usize::try_from(at).ok().filter(|at| *at < decl.len as usize);
                match position {
                    Some(at) => Ok(Cell::Local(*local, at)),
                    None => fault(format!("local `{}` has no element {at}", decl.name)),
                }
            }
            Target::Row(row, at, index) => self.row(*row, self.index(at, lane), self.index(index, lane)),
        }
    }

    fn row(&self, row: usize, at: i64, index: i64) -> Result<Cell, EvalError> {
        let decl = &self.kernel.rows[row];
        let address = usize::try_from(at).ok().and_then(|at| self.rows[row].get(at).copied().flatten());
        match address {
            Some(Some(offset)) => self.element(decl.buffer.0 as usize, offset.saturating_add(index)),
            Some(None) if (0..i64::from(decl.extent)).contains(&index) => {
                Ok(Cell::Absent(self.kernel.buffers[decl.buffer.0 as usize].dtype))
            }
            Some(None) => fault(format!("row `{}` has no element {index}", decl.name)),
            None => fault(format!("address {at} of row `{}` was never set", decl.name)),
        }
    }

    fn element(&self, buffer: usize, at: i64) -> Result<Cell, EvalError> {
        let decl = &self.kernel.buffers[buffer];
        let count = self.buffers[buffer].len() / decl.dtype.size();
        let position = usize::try_from(at).ok().filter(|at| *at < count);
        position.map(|at| Cell::Buffer(buffer, at)).ok_or_else(|| outside(decl, at))
    }

    fn load(&self, place: &Target, lane: usize) -> Result<Number, EvalError> {
        let cell = self.cell(place, lane)?;
        self.threads.touch(self.kernel, &cell, false)?;
        match cell {
            Cell::Buffer(buffer, at) => {
                let decl = &self.kernel.buffers[buffer];
                let bytes = self.buffers[buffer].get(at * decl.dtype.size()..);
                bytes.and_then(|bytes| Number::read(decl.dtype, bytes)).ok_or_else(|| outside(decl, at as i64))
            }
            Cell::Local(local, at) => self.locals[local][at].map_or_else(
                || fault(format!("element {at} of local `{}` was never written", self.kernel.locals[local].name)),
                Ok,
            ),
            Cell::Absent(dtype) => Ok(Number::int(dtype, 0)),
        }
    }

    fn operand(&self, operand: &Operand, lane: usize) -> Result<Number, EvalError> {
        match operand {
            Operand::Float(dtype, bits) => Ok(Number::float(*dtype, f64::from_bits(*bits))),
            Operand::Int(dtype, value) => Ok(Number::int(*dtype, i128::from(*value))),
            Operand::Value(id) => {
                let lanes = self.values.get(id.0 as usize).and_then(Option::as_ref);
                lanes.and_then(|lanes| lanes.at(lane)).map_or_else(|| fault(format!("value {} is not defined", id.0)), Ok)
            }
        }
    }

    fn integer(&self, operand: &Operand, lane: usize) -> Result<i64, EvalError> {
        match self.operand(operand, lane)? {
            Number::Int(DType::I32 | DType::I64, value) => Ok(value),
            other => fault(format!("{other:?} is not an index")),
        }
    }

    fn value(&self, value: &Value, lane: usize) -> Result<Number, EvalError> {
        match value {
            Value::Load(place, None) if self.runs(lane) => self.load(place, lane),
            Value::Load(place, Some((valid, _))) if self.runs(lane) && self.holds(valid, lane) => self.load(place, lane),
            Value::Load(_, Some((_, otherwise))) if self.runs(lane) => self.operand(otherwise, lane),
            Value::Load(place, _) => Ok(Number::int(place.dtype(self.kernel), 0)),
            Value::Index(index, dtype) => Ok(Number::int(*dtype, i128::from(self.index(index, lane)))),
            Value::SelectIf(cond, x, y) => self.operand(if self.holds(cond, lane) { x } else { y }, lane),
            Value::Plain(scalar) => {
                let result = self.plain(scalar, lane)?;
                result.map_or_else(|| fault(format!("{scalar:?} has no value for its operands")), Ok)
            }
        }
    }

    fn plain(&self, scalar: &Scalar, lane: usize) -> Result<Option<Number>, EvalError> {
        let at = |operand: &Operand| self.operand(operand, lane);
        Ok(match scalar {
            Scalar::Unary(op, x) => at(x)?.unary(*op),
            Scalar::Binary(op, x, y) => at(x)?.binary(*op, at(y)?),
            Scalar::MulAdd(x, y, z) => at(x)?.mul_add(at(y)?, at(z)?),
            Scalar::Dot4(x, y, z) => at(x)?.dot4(at(y)?, at(z)?),
            Scalar::Select(test, x, y) => Some(if at(test)?.is_true() { at(x)? } else { at(y)? }),
            Scalar::Cast(dtype, x) => Some(at(x)?.cast(*dtype)),
            Scalar::Bitcast(dtype, x) => at(x)?.bitcast(*dtype),
            Scalar::ShiftLeft(x, count) => at(x)?.shift_left(*count),
            Scalar::ShiftRight(x, count) => at(x)?.shift_right(*count),
            Scalar::Load(_) | Scalar::LoadIf { .. } | Scalar::Index(..) | Scalar::SelectIf(..) => None,
        })
    }
}

fn outside(decl: &BufferDecl, at: i64) -> EvalError {
    EvalError::Fault(format!("buffer `{}` has no element {at}", decl.name))
}
