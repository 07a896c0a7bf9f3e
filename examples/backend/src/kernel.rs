//! Kernels as functions of C. Values are variables; in a vector loop they are arrays with an element for each lane, and each
//! statement is a loop over the lanes, because all lanes take one step before any takes the next.

use crate::format::function_name;
use crate::index;
use crate::scalar::{memory_type, register_type, to_memory};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{Cond, Kernel, LoopKind, Operand, Place, RowId, Scalar, Stmt, ValueId};
use lostwax_ir::types::DType;
use std::collections::HashMap;

/// Why a kernel cannot be written.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It breaks a rule of kernel IR.
    Invalid(String),
    /// It needs something that this target does not have.
    Unsupported(&'static str),
}

/// What stands for each symbol in C.
pub(crate) type Symbols = HashMap<Symbol, String>;

/// A value: its type, and what stands for it in C.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) dtype: DType,
    pub(crate) text: String,
}

/// The vector loop around a statement.
struct Lanes {
    /// The variable in C.
    var: String,
    count: i64,
    /// Which lanes run, as a condition on the variable.
    mask: String,
}

/// Writes one kernel.
pub(crate) struct Writer<'k> {
    pub(crate) kernel: &'k Kernel,
    pub(crate) symbols: Symbols,
    pub(crate) values: HashMap<ValueId, Value>,
    lanes: Option<Lanes>,
    names: usize,
    text: String,
    depth: usize,
}

// region: function
/// The function of the kernel at that position of the program.
pub(crate) fn write(kernel: &Kernel, position: usize) -> Result<String, Fault> {
    let (symbols, values, text) = (Symbols::new(), HashMap::new(), String::new());
    let mut writer = Writer { kernel, symbols, values, lanes: None, names: 0, text, depth: 0 };
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
            Stmt::Reduce { .. } => Err(Fault::Unsupported("threads that share a work item")),
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
            LoopKind::Threads => return Err(Fault::Unsupported("threads that share a work item")),
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

    // region: lanes
    /// Writes a statement; in a vector loop once for each lane.
    fn each_lane(&mut self, statement: &str) {
        match &self.lanes {
            None => self.line(statement),
            Some(Lanes { var, count, .. }) => self.line(format!("for (int64_t {var} = 0; {var} < {count}; {var}++) {statement}")),
        }
    }

    /// Writes the definition of a variable, and gives what stands for its value.
    fn variable(&mut self, ty: &str, name: &str, value: &str) -> String {
        let Some(Lanes { var, count, .. }) = &self.lanes else {
            self.line(format!("const {ty} {name} = {value};"));
            return name.into();
        };
        let (element, declaration) = (format!("{name}[{var}]"), format!("{ty} {name}[{count}];"));
        self.line(declaration);
        self.each_lane(&format!("{element} = {value};"));
        element
    }

    /// Which lanes run; none where all do.
    pub(crate) fn mask(&self) -> Option<&str> {
        self.lanes.as_ref().map(|lanes| lanes.mask.as_str()).filter(|mask| *mask != "1")
    }
    // endregion: lanes

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

    /// An element of a buffer, a local or a row.
    pub(crate) fn element(&self, place: &Place) -> Result<String, Fault> {
        Ok(match place {
            Place::Buffer(buffer, index) => format!("b{}[{}]", buffer.0, self.dim(index)?),
            Place::Local(local, index) => format!("l{}[{}]", local.0, self.dim(index)?),
            Place::Row(row, at, index) => format!("r{}[{}][{}]", row.0, self.dim(at)?, self.dim(index)?),
        })
    }

    /// The type of the elements of a buffer, a local or a row.
    pub(crate) fn element_type(&self, place: &Place) -> Result<DType, Fault> {
        let missing = |kind: &str, position: u32| Fault::Invalid(format!("there is no {kind} {position}"));
        match place {
            Place::Buffer(buffer, _) => self.buffer(buffer.0),
            Place::Local(local, _) => {
                self.kernel.locals.get(local.0 as usize).map(|local| local.dtype).ok_or_else(|| missing("local", local.0))
            }
            Place::Row(row, ..) => {
                let row = self.kernel.rows.get(row.0 as usize).ok_or_else(|| missing("row", row.0))?;
                self.buffer(row.buffer.0)
            }
        }
    }

    fn buffer(&self, position: u32) -> Result<DType, Fault> {
        let found = self.kernel.buffers.get(position as usize);
        found.map(|buffer| buffer.dtype).ok_or_else(|| Fault::Invalid(format!("there is no buffer {position}")))
    }

    pub(crate) fn dim(&self, dim: &Dim) -> Result<String, Fault> {
        index::dim(&self.symbols, dim)
    }

    // region: names
    /// A name in C for a symbol from here on. What models call their sizes may hold any characters, so it is only part of it.
    fn name(&mut self, symbol: &Symbol) -> String {
        let name = self.new_name(symbol.name());
        self.symbols.insert(symbol.clone(), name.clone());
        name
    }

    fn new_name(&mut self, readable: &str) -> String {
        self.names += 1;
        let readable = readable.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!("s{}_{readable}", self.names)
    }
    // endregion: names

    fn block(&mut self, head: &str, body: &[Stmt]) -> Result<(), Fault> {
        self.line(format!("{head}{{"));
        self.indented(|writer| body.iter().try_for_each(|stmt| writer.stmt(stmt)))?;
        self.line("}");
        Ok(())
    }

    fn indented(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.text.extend(std::iter::repeat_n("  ", self.depth).chain([line.as_ref(), "\n"]));
    }
}
