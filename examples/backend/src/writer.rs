//! What is in scope while a kernel is written, and the lines that are written so far.

use lostwax_ir::dim::Symbol;
use lostwax_ir::kernel::{Kernel, Place, ValueId};
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
pub(crate) struct Lanes {
    /// The variable in C.
    pub(crate) var: String,
    pub(crate) count: i64,
    /// Which lanes run, as a condition on the variable.
    pub(crate) mask: String,
}

/// Writes one kernel.
pub(crate) struct Writer<'k> {
    pub(crate) kernel: &'k Kernel,
    pub(crate) symbols: Symbols,
    pub(crate) values: HashMap<ValueId, Value>,
    pub(crate) lanes: Option<Lanes>,
    names: usize,
    pub(crate) text: String,
    depth: usize,
}

impl<'k> Writer<'k> {
    pub(crate) fn new(kernel: &'k Kernel) -> Self {
        let (symbols, values, text) = (Symbols::new(), HashMap::new(), String::new());
        Self { kernel, symbols, values, lanes: None, names: 0, text, depth: 0 }
    }

    // region: lanes
    /// Writes a statement; in a vector loop once for each lane.
    pub(crate) fn each_lane(&mut self, statement: &str) {
        match &self.lanes {
            None => self.line(statement),
            Some(Lanes { var, count, .. }) => self.line(format!("for (int64_t {var} = 0; {var} < {count}; {var}++) {statement}")),
        }
    }

    /// Writes the definition of a variable, and gives what stands for its value.
    pub(crate) fn variable(&mut self, ty: &str, name: &str, value: &str) -> String {
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

    pub(crate) fn buffer(&self, position: u32) -> Result<DType, Fault> {
        let found = self.kernel.buffers.get(position as usize);
        found.map(|buffer| buffer.dtype).ok_or_else(|| Fault::Invalid(format!("there is no buffer {position}")))
    }

    // region: names
    /// A name in C for a symbol from here on. What models call their sizes may hold any characters, so it is only part of it.
    pub(crate) fn name(&mut self, symbol: &Symbol) -> String {
        let name = self.new_name(symbol.name());
        self.symbols.insert(symbol.clone(), name.clone());
        name
    }

    pub(crate) fn new_name(&mut self, readable: &str) -> String {
        self.names += 1;
        let readable = readable.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!("s{}_{readable}", self.names)
    }
    // endregion: names

    pub(crate) fn indented(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        self.text.extend(std::iter::repeat_n("  ", self.depth).chain([line.as_ref(), "\n"]));
    }
}
