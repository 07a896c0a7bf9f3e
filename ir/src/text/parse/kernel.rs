//! Reading kernels.

use crate::dim::{Dim, Symbol};
use crate::kernel::{
    BufferDecl, BufferId, Cond, Kernel, LocalDecl, LocalId, LoopKind, Operand, Place, RowDecl, RowId, Scalar, Stmt, Storage,
    ValueId,
};
use crate::scalar::{BinaryOp, ReduceOp, UnaryOp};
use crate::text::ParseError;
use crate::text::cursor::{Cursor, Symbols};
use crate::types::DType;

/// Blocks may be nested this deep.
const DEPTH_LIMIT: u32 = 64;

/// Reads a kernel.
///
/// # Errors
/// [`ParseError`] where the text breaks the form. Whether the kernel keeps the rules of kernels is for
/// [`crate::verify::verify_kernel`] to say.
pub fn parse_kernel(text: &str) -> Result<Kernel, ParseError> {
    let mut parser = Parser { cursor: Cursor::new(text), symbols: Symbols::new(), depth: 0 };
    let kernel = parser.kernel()?;
    if parser.cursor.at_end() { Ok(kernel) } else { parser.cursor.error("the end is expected") }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    symbols: Symbols,
    depth: u32,
}

impl Parser<'_> {
    fn kernel(&mut self) -> Result<Kernel, ParseError> {
        self.cursor.expect_word("kernel")?;
        let name = self.cursor.string()?;
        self.cursor.expect("{")?;
        let symbols = self.parameters()?;
        self.cursor.expect_word("item")?;
        let item = self.cursor.symbol()?;
        self.cursor.expect_word("grid")?;
        let grid = self.braced()?;
        self.declare(&item);
        let (mut buffers, mut locals, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        while self.cursor.accept_word("buffer") {
            buffers.push(self.buffer()?);
        }
        while self.cursor.accept_word("local") {
            locals.push(self.local()?);
        }
        while self.cursor.accept_word("rows") {
            rows.push(self.rows()?);
        }
        let body = self.block()?;
        Ok(Kernel { name, symbols, item, grid, buffers, locals, rows, body })
    }

    fn parameters(&mut self) -> Result<Vec<Symbol>, ParseError> {
        let mut symbols = Vec::new();
        if self.cursor.accept_word("symbols") {
            loop {
                symbols.push(self.cursor.symbol()?);
                if !self.cursor.accept(",") {
                    break;
                }
            }
        }
        symbols.iter().for_each(|symbol| self.declare(symbol));
        Ok(symbols)
    }

    fn declare(&mut self, symbol: &Symbol) {
        self.symbols.insert(symbol.name().to_string(), symbol.clone());
    }

    fn dim(&mut self) -> Result<Dim, ParseError> {
        self.cursor.dim(&self.symbols)
    }

    fn braced(&mut self) -> Result<Dim, ParseError> {
        self.cursor.expect("(")?;
        let dim = self.dim()?;
        self.cursor.expect(")")?;
        Ok(dim)
    }

    fn bracketed(&mut self) -> Result<Dim, ParseError> {
        self.cursor.expect("[")?;
        let dim = self.dim()?;
        self.cursor.expect("]")?;
        Ok(dim)
    }

    fn cond(&mut self) -> Result<Cond, ParseError> {
        let symbols = &self.symbols;
        self.cursor.list("[", "]", |cursor| cursor.dim(symbols)).map(Cond)
    }

    fn buffer(&mut self) -> Result<BufferDecl, ParseError> {
        let name = self.cursor.string()?;
        self.cursor.expect(":")?;
        let (dtype, writable) = (self.cursor.dtype()?, self.cursor.accept_word("writable"));
        let pieces = if self.cursor.accept_word("pieces") { self.cursor.count()? } else { 1 };
        Ok(BufferDecl { name, dtype, writable, pieces })
    }

    fn local(&mut self) -> Result<LocalDecl, ParseError> {
        let name = self.cursor.string()?;
        self.cursor.expect(":")?;
        let dtype = self.cursor.dtype()?;
        let len = self.length()?;
        Ok(LocalDecl { name, dtype, len, storage: self.storage() })
    }

    fn storage(&mut self) -> Storage {
        match () {
            () if self.cursor.accept_word("memory") => Storage::Memory,
            () if self.cursor.accept_word("shared") => Storage::Shared,
            () => Storage::Registers,
        }
    }

    fn length(&mut self) -> Result<u32, ParseError> {
        self.cursor.expect("[")?;
        let length = self.cursor.count()?;
        self.cursor.expect("]")?;
        Ok(length)
    }

    fn rows(&mut self) -> Result<RowDecl, ParseError> {
        let name = self.cursor.string()?;
        self.cursor.expect(":")?;
        let buffer = BufferId(self.cursor.count_after("b")?);
        let len = self.length()?;
        self.cursor.expect_word("x")?;
        Ok(RowDecl { name, buffer, len, extent: self.cursor.count()? })
    }

    /// Statements up to the closing brace; symbols that they define end with them.
    fn block(&mut self) -> Result<Vec<Stmt>, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return self.cursor.error("nesting is too deep");
        }
        let outer = self.symbols.clone();
        let mut body = Vec::new();
        while !self.cursor.accept("}") {
            body.push(self.stmt()?);
        }
        self.symbols = outer;
        self.depth -= 1;
        Ok(body)
    }

    fn stmt(&mut self) -> Result<Stmt, ParseError> {
        let start = self.cursor.here();
        let word = self.cursor.word();
        match word {
            "for" => self.repeat(),
            "index" => self.let_index(),
            "row" => self.set_row(),
            "prefetch" => self.prefetch(),
            "store" => {
                let place = self.place()?;
                self.cursor.expect(",")?;
                Ok(Stmt::Store { place, value: self.operand()? })
            }
            "reduce" => self.reduce(),
            "if" => self.branch(),
            _ => match word.strip_prefix('v').and_then(|digits| digits.parse().ok()) {
                Some(id) => {
                    self.cursor.expect("=")?;
                    Ok(Stmt::Let { id: ValueId(id), value: self.scalar()? })
                }
                None => self.cursor.error_at(start, "a statement or `}` expected"),
            },
        }
    }

    fn repeat(&mut self) -> Result<Stmt, ParseError> {
        let var = self.cursor.symbol()?;
        self.cursor.expect_word("to")?;
        let extent = self.braced()?;
        let start = self.cursor.here();
        let kind = match self.cursor.word() {
            "serial" => LoopKind::Serial,
            "unrolled" => LoopKind::Unrolled,
            "threads" => LoopKind::Threads,
            "vector" => {
                let active = if self.cursor.accept_word("active") { Some(self.braced()?) } else { None };
                LoopKind::Vector { active }
            }
            _ => return self.cursor.error_at(start, "`serial`, `unrolled`, `threads` or `vector` expected"),
        };
        self.cursor.expect("{")?;
        let hidden = self.symbols.insert(var.name().to_string(), var.clone());
        let body = self.block()?;
        match hidden {
            Some(symbol) => self.declare(&symbol),
            None => {
                self.symbols.remove(var.name());
            }
        }
        Ok(Stmt::For { var, extent, kind, body })
    }

    fn let_index(&mut self) -> Result<Stmt, ParseError> {
        let symbol = self.cursor.symbol()?;
        self.cursor.expect("=")?;
        let value = self.operand()?;
        self.declare(&symbol);
        Ok(Stmt::LetIndex { symbol, value })
    }

    fn set_row(&mut self) -> Result<Stmt, ParseError> {
        let row = RowId(self.cursor.count_after("r")?);
        let at = self.bracketed()?;
        self.cursor.expect("=")?;
        let offset = self.braced()?;
        self.cursor.expect_word("if")?;
        Ok(Stmt::SetRow { row, at, offset, valid: self.cond()? })
    }

    fn prefetch(&mut self) -> Result<Stmt, ParseError> {
        let start = self.cursor.here();
        match self.place()? {
            Place::Buffer(id, index) => Ok(Stmt::Prefetch(id, index)),
            Place::Local(..) | Place::Row(..) => self.cursor.error_at(start, "an element of a buffer expected"),
        }
    }

    fn reduce(&mut self) -> Result<Stmt, ParseError> {
        let start = self.cursor.here();
        let Some(op) = ReduceOp::from_name(self.cursor.word()) else {
            return self.cursor.error_at(start, "a reduction expected");
        };
        let local = LocalId(self.cursor.count_after("l")?);
        self.cursor.expect_word("stride")?;
        Ok(Stmt::Reduce { op, local, stride: self.cursor.count()? })
    }

    fn branch(&mut self) -> Result<Stmt, ParseError> {
        let cond = self.cond()?;
        self.cursor.expect("{")?;
        let then = self.block()?;
        let otherwise = if self.cursor.accept_word("else") {
            self.cursor.expect("{")?;
            self.block()?
        } else {
            Vec::new()
        };
        Ok(Stmt::If { cond, then, otherwise })
    }

    fn place(&mut self) -> Result<Place, ParseError> {
        let start = self.cursor.here();
        let word = self.cursor.word();
        let number = word.get(1..).and_then(|digits| digits.parse().ok());
        let Some(number) = number else { return self.cursor.error_at(start, "a place expected") };
        let index = self.bracketed()?;
        match word.chars().next() {
            Some('b') => Ok(Place::Buffer(BufferId(number), index)),
            Some('l') => Ok(Place::Local(LocalId(number), index)),
            Some('r') => Ok(Place::Row(RowId(number), index, self.bracketed()?)),
            _ => self.cursor.error_at(start, "a place expected"),
        }
    }

    fn operand(&mut self) -> Result<Operand, ParseError> {
        let start = self.cursor.here();
        let word = self.cursor.word();
        if let Some(id) = word.strip_prefix('v').and_then(|digits| digits.parse().ok()) {
            return Ok(Operand::Value(ValueId(id)));
        }
        let Some(dtype) = DType::from_name(word) else { return self.cursor.error_at(start, "an operand expected") };
        self.cursor.expect("(")?;
        let operand = if dtype.is_float() {
            Operand::float(dtype, self.cursor.float()?)
        } else {
            Operand::Int(dtype, self.cursor.integer()?)
        };
        self.cursor.expect(")")?;
        Ok(operand)
    }

    fn next_operand(&mut self) -> Result<Operand, ParseError> {
        self.cursor.expect(",")?;
        self.operand()
    }

    fn scalar(&mut self) -> Result<Scalar, ParseError> {
        let start = self.cursor.here();
        Ok(match self.cursor.word() {
            "load" => Scalar::Load(self.place()?),
            "load_if" => self.load_if()?,
            "index" => {
                let dtype = self.cursor.dtype()?;
                Scalar::Index(self.braced()?, dtype)
            }
            "mul_add" => Scalar::MulAdd(self.operand()?, self.next_operand()?, self.next_operand()?),
            "dot4" => Scalar::Dot4(self.operand()?, self.next_operand()?, self.next_operand()?),
            "select" => Scalar::Select(self.operand()?, self.next_operand()?, self.next_operand()?),
            "select_if" => Scalar::SelectIf(self.cond()?, self.next_operand()?, self.next_operand()?),
            "cast" => Scalar::Cast(self.cursor.dtype()?, self.operand()?),
            "bitcast" => Scalar::Bitcast(self.cursor.dtype()?, self.operand()?),
            "shl" => Scalar::ShiftLeft(self.operand()?, self.shift()?),
            "shr" => Scalar::ShiftRight(self.operand()?, self.shift()?),
            name => match (UnaryOp::from_name(name), BinaryOp::from_name(name)) {
                (Some(op), _) => Scalar::Unary(op, self.operand()?),
                (None, Some(op)) => Scalar::Binary(op, self.operand()?, self.next_operand()?),
                (None, None) => return self.cursor.error_at(start, format!("unknown operation `{name}`")),
            },
        })
    }

    fn load_if(&mut self) -> Result<Scalar, ParseError> {
        let valid = self.cond()?;
        self.cursor.expect(",")?;
        let place = self.place()?;
        Ok(Scalar::LoadIf { place, valid, otherwise: self.next_operand()? })
    }

    fn shift(&mut self) -> Result<u32, ParseError> {
        self.cursor.expect(",")?;
        self.cursor.count()
    }
}
