//! Kernels as functions of C. Values are variables; in a vector loop they are arrays with an element for each lane, and each
//! statement is a loop over the lanes, because all lanes take one step before any takes the next.

use crate::format::function_name;
use crate::index;
use crate::scalar::{memory_type, register_type, to_memory};
use crate::writer::{Fault, Lanes, Value, Writer};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{Cond, Kernel, LoopKind, Operand, Place, RowId, Scalar, Stmt, ValueId};

// region: function
/// The function of the kernel at that position of the program.
pub(crate) fn write(kernel: &Kernel, position: usize) -> Result<String, Fault> {
    let mut writer = Writer::new(kernel);
    writer.line(format!("/* {} */", kernel.name));
    let name = function_name(position);
    writer.line(format!("void {name}(void *const *buffers, const int64_t *symbols, int64_t begin, int64_t end) {{"));
    writer.indented(|writer| {
        writer.arguments()?;
        let item = writer.name(&kernel.item);
        writer.line(format!("for (int64_t {item} = begin; {item} < end; {item}++) {{"));
        writer.indented(|writer| {
            writer.locals()?;
            kernel.body.iter().try_for_each(|stmt| writer.stmt(stmt))
        })?;
        writer.line("}");
        Ok(())
    })?;
    writer.line("}");
    Ok(writer.text)
}
// endregion: function

impl Writer<'_> {
    // region: arguments
    /// Buffers and symbols under names of their own. No element is both read and written by one dispatch, hence `restrict`.
    /// Names of buffers are not printed: they may hold anything.
    fn arguments(&mut self) -> Result<(), Fault> {
        for (position, buffer) in self.kernel.buffers.iter().enumerate() {
            if buffer.pieces != 1 {
                return Err(Fault::Unsupported("arguments in pieces"));
            }
            let (ty, constant) = (memory_type(buffer.dtype)?, if buffer.writable { "" } else { "const " });
            self.line(format!("{constant}{ty} *restrict b{position} = buffers[{position}];"));
        }
        for (position, symbol) in self.kernel.symbols.iter().enumerate() {
            let name = self.name(symbol);
            self.line(format!("const int64_t {name} = symbols[{position}];"));
        }
        Ok(())
    }

    /// The arrays of a work item. Rows that do not exist point to zeros.
    fn locals(&mut self) -> Result<(), Fault> {
        for (position, local) in self.kernel.locals.iter().enumerate() {
            self.line(format!("{} l{position}[{}];", register_type(local.dtype)?, local.len.max(1)));
        }
        for (position, row) in self.kernel.rows.iter().enumerate() {
            let ty = memory_type(self.buffer(row.buffer.0)?)?;
            self.line(format!("static const {ty} z{position}[{}];", row.extent.max(1)));
            self.line(format!("const {ty} *r{position}[{}];", row.len.max(1)));
        }
        Ok(())
    }
    // endregion: arguments

    // region: stmt
    fn stmt(&mut self, stmt: &Stmt) -> Result<(), Fault> {
        match stmt {
            Stmt::For { var, extent, kind, body } => self.repeat(var, extent, kind, body),
            Stmt::Let { id, value } => self.define(*id, value),
            Stmt::LetIndex { symbol, value } => {
                let value = self.operand(value)?;
                let name = self.new_name(symbol.name());
                let text = self.variable("int64_t", &name, &value.text);
                self.symbols.insert(symbol.clone(), text);
                Ok(())
            }
            Stmt::SetRow { row, at, offset, valid } => self.set_row(*row, at, offset, valid),
            Stmt::Prefetch(buffer, index) => {
                let index = self.dim(index)?;
                self.line(format!("__builtin_prefetch(b{} + {index});", buffer.0));
                Ok(())
            }
            Stmt::Store { place, value } => self.store(place, value),
            Stmt::If { cond, then, otherwise } => self.branch(cond, then, otherwise),
            Stmt::Reduce { .. } => Err(Fault::Unsupported("workgroups")),
        }
    }
    // endregion: stmt

    // region: repeat
    fn repeat(&mut self, var: &Symbol, extent: &Dim, kind: &LoopKind, body: &[Stmt]) -> Result<(), Fault> {
        let count = self.dim(extent)?;
        let name = self.name(var);
        match kind {
            LoopKind::Serial => {}
            LoopKind::Unrolled => self.line(format!("#pragma GCC unroll {count}")),
            LoopKind::Vector { active } => return self.vector(name, extent, active.as_ref(), body),
            LoopKind::Threads => return Err(Fault::Unsupported("workgroups")),
        }
        self.block(&format!("for (int64_t {name} = 0; {name} < {count}; {name}++) "), body)
    }

    fn vector(&mut self, var: String, extent: &Dim, active: Option<&Dim>, body: &[Stmt]) -> Result<(), Fault> {
        let count = extent.as_constant().ok_or_else(|| Fault::Invalid(format!("a vector of {extent} lanes")))?;
        let mask = active.map_or(Ok("1".into()), |active| Ok(format!("{var} < {}", self.dim(active)?)))?;
        self.lanes = Some(Lanes { var, count, mask });
        self.block("", body)?;
        self.lanes = None;
        Ok(())
    }
    // endregion: repeat

    fn define(&mut self, id: ValueId, scalar: &Scalar) -> Result<(), Fault> {
        let value = self.scalar(scalar)?;
        let text = self.variable(register_type(value.dtype)?, &format!("v{}", id.0), &value.text);
        self.values.insert(id, Value { text, ..value });
        Ok(())
    }

    fn set_row(&mut self, row: RowId, at: &Dim, offset: &Dim, valid: &Cond) -> Result<(), Fault> {
        let decl = self.kernel.rows.get(row.0 as usize).ok_or_else(|| Fault::Invalid(format!("there is no row {}", row.0)))?;
        let (at, offset, valid) = (self.dim(at)?, self.dim(offset)?, index::cond(&self.symbols, valid)?);
        let (row, buffer) = (row.0, decl.buffer.0);
        self.line(format!("r{row}[{at}] = {valid} ? b{buffer} + {offset} : z{row};"));
        Ok(())
    }

    fn store(&mut self, place: &Place, value: &Operand) -> Result<(), Fault> {
        let (value, element) = (self.operand(value)?, self.element(place)?);
        let text = if let Place::Buffer(..) = place { to_memory(value.dtype, &value.text) } else { value.text };
        let condition = self.mask().map(|mask| format!("if ({mask}) ")).unwrap_or_default();
        self.each_lane(&format!("{condition}{element} = {text};"));
        Ok(())
    }

    // region: branch
    /// In a vector loop both blocks run, each with those lanes that take it.
    fn branch(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), Fault> {
        let holds = index::cond(&self.symbols, cond)?;
        let Some(outer) = self.lanes.as_ref().map(|lanes| lanes.mask.clone()) else {
            self.block(&format!("if ({holds}) "), then)?;
            return self.block("else ", otherwise);
        };
        for (part, body) in [(holds.clone(), then), (format!("!{holds}"), otherwise)] {
            self.lanes.iter_mut().for_each(|lanes| lanes.mask = format!("{outer} && {part}"));
            self.block("", body)?;
        }
        self.lanes.iter_mut().for_each(|lanes| lanes.mask.clone_from(&outer));
        Ok(())
    }
    // endregion: branch

    fn block(&mut self, head: &str, body: &[Stmt]) -> Result<(), Fault> {
        self.line(format!("{head}{{"));
        self.indented(|writer| body.iter().try_for_each(|stmt| writer.stmt(stmt)))?;
        self.line("}");
        Ok(())
    }
}
