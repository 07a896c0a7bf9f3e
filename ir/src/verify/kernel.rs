//! The rules of kernels.

use super::VerifyError;
use crate::dim::{Dim, Symbol};
use crate::kernel::{BufferId, Cond, Kernel, LocalDecl, LocalId, LoopKind, Operand, Place, Scalar, Stmt, Storage, ValueId};
use crate::number::Number;
use crate::types::DType;
use std::collections::{BTreeMap, BTreeSet};

/// Checks a kernel and gives all broken rules: values and symbols are defined before use and in scope, types agree, buffers,
/// locals and rows exist, stores go to what is writable, and loops and indices are as their kind requires.
pub fn verify_kernel(kernel: &Kernel) -> Vec<VerifyError> {
    let mut verifier = Verifier {
        kernel,
        threads: kernel.threads(),
        scope: Scope::default(),
        defined: BTreeSet::new(),
        path: Vec::new(),
        errors: Vec::new(),
    };
    verifier.declarations();
    verifier.block(&kernel.body);
    verifier.errors
}

/// How the value of a symbol varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Given from outside, a loop variable of a serial loop, or calculated.
    Runtime,
    /// A constant once the loop is unrolled.
    Unrolled,
    /// The lane of a vector loop.
    Lane,
    /// Calculated inside a vector loop.
    LaneRuntime,
}

/// What is visible at a statement.
#[derive(Clone, Default)]
struct Scope {
    symbols: BTreeMap<Symbol, Origin>,
    values: BTreeMap<ValueId, DType>,
    in_vector: bool,
    in_threads: bool,
}

/// The maximum number of threads of a workgroup.
const MAX_THREADS: u32 = 1024;

struct Verifier<'a> {
    kernel: &'a Kernel,
    threads: Option<u32>,
    scope: Scope,
    defined: BTreeSet<ValueId>,
    path: Vec<usize>,
    errors: Vec<VerifyError>,
}

impl Verifier<'_> {
    fn error(&mut self, problem: impl Into<String>) {
        let path: Vec<String> = self.path.iter().map(usize::to_string).collect();
        let path = if path.is_empty() { "-".to_string() } else { path.join(".") };
        self.errors.push(VerifyError::Kernel { kernel: self.kernel.name.clone(), path, problem: problem.into() });
    }

    fn declarations(&mut self) {
        let kernel = self.kernel;
        if kernel.name.is_empty() || !kernel.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.error("the name must consist of letters, digits and underscores");
        }
        for symbol in &kernel.symbols {
            self.declare(symbol, Origin::Runtime);
        }
        self.dim(&kernel.grid);
        self.declare(&kernel.item, Origin::Runtime);
        for row in &kernel.rows {
            if self.buffer(row.buffer).is_none() {
                self.error(format!("row `{}` points into a buffer that does not exist", row.name));
            }
        }
    }

    fn declare(&mut self, symbol: &Symbol, origin: Origin) {
        if self.scope.symbols.keys().any(|known| known.name() == symbol.name()) {
            self.error(format!("symbol `{}` is already defined", symbol.name()));
        }
        self.scope.symbols.insert(symbol.clone(), origin);
    }

    fn block(&mut self, body: &[Stmt]) {
        let outer = self.scope.clone();
        for (position, stmt) in body.iter().enumerate() {
            self.path.push(position);
            self.stmt(stmt);
            self.path.pop();
        }
        self.scope = outer;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let is_common = matches!(stmt, Stmt::For { .. } | Stmt::If { .. } | Stmt::Reduce { .. });
        if self.threads.is_some() && !self.scope.in_threads && !is_common {
            self.error("outside of the loops of its threads a kernel may have only loops, conditions and reductions");
        }
        match stmt {
            Stmt::For { var, extent, kind, body } => self.repeat(var, extent, kind, body),
            Stmt::Let { id, value } => {
                let dtype = self.scalar(value);
                if !self.defined.insert(*id) {
                    self.error(format!("value {} is defined twice", id.0));
                }
                if let Some(dtype) = dtype {
                    self.scope.values.insert(*id, dtype);
                }
            }
            Stmt::LetIndex { symbol, value } => {
                let dtype = self.operand(value);
                if dtype.is_some_and(|dtype| !matches!(dtype, DType::I32 | DType::I64)) {
                    self.error(format!("index `{}` must be i32 or i64", symbol.name()));
                }
                self.declare(symbol, if self.scope.in_vector { Origin::LaneRuntime } else { Origin::Runtime });
            }
            Stmt::SetRow { row, at, offset, valid } => {
                if self.kernel.rows.get(row.0 as usize).is_none() || self.scope.in_vector {
                    self.error("a row address must exist and be set outside of vector loops");
                }
                self.fixed(at, "the row", &[Origin::Unrolled]);
                self.dim(offset);
                self.cond(valid);
            }
            Stmt::Prefetch(id, index) => {
                self.dim(index);
                if self.buffer(*id).is_none() || self.scope.in_vector {
                    self.error("a prefetch must be of a buffer and outside of vector loops");
                }
            }
            Stmt::Store { place, value } => self.store(place, value),
            Stmt::Reduce { local, stride, .. } => self.reduce(*local, *stride),
            Stmt::If { cond, then, otherwise } => self.branch(cond, then, otherwise),
        }
    }

    fn reduce(&mut self, local: LocalId, stride: u32) {
        let is_outside = !self.scope.in_threads && !self.scope.in_vector;
        let threads = self.threads.filter(|_| is_outside).filter(|threads| threads.is_power_of_two());
        let Some(threads) = threads else {
            self.error(
                "a reduction among threads must be outside of their loops and of vector loops, and their number a power of two",
            );
            return;
        };
        if !stride.is_power_of_two() || stride >= threads {
            self.error(format!("the stride {stride} of a reduction must be a power of two and less than the {threads} threads"));
        }
        let local = self.kernel.locals.get(local.0 as usize);
        let holds_rows = |local: &&LocalDecl| local.storage == Storage::Shared && local.len.is_multiple_of(threads);
        if local.filter(holds_rows).is_none_or(|local| local.dtype == DType::Bool) {
            self.error("a reduction among threads must be of numbers in shared memory, one or more for each thread");
        }
    }

    fn repeat(&mut self, var: &Symbol, extent: &Dim, kind: &LoopKind, body: &[Stmt]) {
        self.dim(extent);
        if self.scope.in_vector {
            self.error("a loop inside of a vector loop");
        }
        let outer = self.scope.clone();
        let origin = match kind {
            LoopKind::Serial => Origin::Runtime,
            LoopKind::Unrolled => {
                if extent.as_constant().is_none() {
                    self.error(format!("the extent {extent} of an unrolled loop must be a constant"));
                }
                Origin::Unrolled
            }
            LoopKind::Vector { active } => {
                if !extent.as_constant().is_some_and(|lanes| (1..=64).contains(&lanes) && lanes & (lanes - 1) == 0) {
                    self.error(format!("the extent {extent} of a vector loop must be a power of two, at most 64"));
                }
                active.iter().for_each(|active| self.dim(active));
                self.scope.in_vector = true;
                Origin::Lane
            }
            LoopKind::Threads => {
                let count = extent.as_constant().and_then(|count| u32::try_from(count).ok());
                if !count.is_some_and(|count| (1..=MAX_THREADS).contains(&count)) || count != self.threads {
                    self.error(format!(
                        "a loop of threads must have one constant extent in all of the kernel, 1 to {MAX_THREADS}, not {extent}"
                    ));
                }
                if self.scope.in_threads {
                    self.error("a loop of threads inside of another");
                }
                self.scope.in_threads = true;
                Origin::Runtime
            }
        };
        self.declare(var, origin);
        self.block(body);
        self.scope = outer;
    }

    fn store(&mut self, place: &Place, value: &Operand) {
        let (expected, given) = (self.place(place), self.operand(value));
        self.same(expected, given, "a store");
        match place {
            Place::Buffer(id, _) if self.buffer(*id).is_some_and(|buffer| !self.kernel.buffers[buffer].writable) => {
                self.error(format!("buffer {} is not writable", id.0));
            }
            Place::Row(..) => self.error("a store to a row"),
            _ => {}
        }
    }

    fn branch(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) {
        self.cond(cond);
        let simple = |stmt: &Stmt| matches!(stmt, Stmt::Let { .. } | Stmt::Store { .. });
        let varies = cond.0.iter().any(|part| self.mentions(part, &[Origin::Lane, Origin::LaneRuntime]));
        if varies && !then.iter().chain(otherwise).all(simple) {
            self.error("blocks under a condition on the lane may hold nothing but lets and stores");
        }
        self.block(then);
        self.block(otherwise);
    }

    fn buffer(&self, id: BufferId) -> Option<usize> {
        let position = id.0 as usize;
        (position < self.kernel.buffers.len()).then_some(position)
    }

    fn mentions(&self, dim: &Dim, origins: &[Origin]) -> bool {
        let mut found = false;
        dim.for_each_symbol(&mut |symbol| found |= self.scope.symbols.get(symbol).is_some_and(|o| origins.contains(o)));
        found
    }

    /// Checks that all symbols are in scope.
    fn dim(&mut self, dim: &Dim) {
        let mut unknown = BTreeSet::new();
        dim.for_each_symbol(&mut |symbol| {
            if !self.scope.symbols.contains_key(symbol) {
                unknown.insert(symbol.clone());
            }
        });
        for symbol in &unknown {
            let (min, max) = (symbol.min(), symbol.max());
            self.error(format!("symbol `{}` in {min}..={max} is not in scope in {dim}", symbol.name()));
        }
    }

    /// Checks that a dim mentions nothing but symbols of the given origins.
    fn fixed(&mut self, dim: &Dim, what: &str, origins: &[Origin]) {
        self.dim(dim);
        let mut moving = false;
        dim.for_each_symbol(&mut |symbol| moving |= self.scope.symbols.get(symbol).is_some_and(|o| !origins.contains(o)));
        if moving {
            self.error(format!("the index {dim} of {what} is not a constant after unrolling"));
        }
    }

    fn cond(&mut self, cond: &Cond) {
        cond.0.iter().for_each(|part| self.dim(part));
    }

    fn place(&mut self, place: &Place) -> Option<DType> {
        match place {
            Place::Buffer(id, index) => {
                self.dim(index);
                let position = self.buffer(*id);
                if position.is_none() {
                    self.error(format!("buffer {} does not exist", id.0));
                }
                position.map(|position| self.kernel.buffers[position].dtype)
            }
            Place::Local(id, index) => {
                let local = self.kernel.locals.get(id.0 as usize);
                match local.map_or(Storage::Registers, |local| local.storage) {
                    Storage::Memory => self.dim(index),
                    Storage::Shared => {
                        self.dim(index);
                        if !self.scope.in_threads {
                            self.error("shared memory is used outside of the loops of threads");
                        }
                    }
                    Storage::Registers => self.fixed(index, "a local", &[Origin::Unrolled, Origin::Lane]),
                }
                match local {
                    Some(local) => {
                        self.within(index, local.len, &local.name);
                        Some(local.dtype)
                    }
                    None => {
                        self.error(format!("local {} does not exist", id.0));
                        None
                    }
                }
            }
            Place::Row(id, at, index) => {
                self.fixed(at, "a row", &[Origin::Unrolled]);
                self.dim(index);
                match self.kernel.rows.get(id.0 as usize) {
                    Some(row) => {
                        self.within(at, row.len, &row.name);
                        self.within(index, row.extent, &row.name);
                        self.buffer(row.buffer).map(|position| self.kernel.buffers[position].dtype)
                    }
                    None => {
                        self.error(format!("row {} does not exist", id.0));
                        None
                    }
                }
            }
        }
    }

    /// Checks that an index is not outside of `0..len` for all values.
    fn within(&mut self, index: &Dim, len: u32, name: &str) {
        let (low, high) = index.bounds();
        if high < 0 || low >= i64::from(len) {
            self.error(format!("the index {index} is outside of `{name}`, which holds {len}"));
        }
    }

    fn operand(&mut self, operand: &Operand) -> Option<DType> {
        match operand {
            Operand::Value(id) => {
                let dtype = self.scope.values.get(id).copied();
                if dtype.is_none() {
                    self.error(format!("value {} is not defined here", id.0));
                }
                dtype
            }
            Operand::Float(dtype, _) => {
                if !dtype.is_float() {
                    self.error(format!("a floating-point constant of type {dtype}"));
                }
                Some(*dtype)
            }
            Operand::Int(dtype, _) => {
                if !dtype.is_integer() && *dtype != DType::Bool {
                    self.error(format!("an integer constant of type {dtype}"));
                }
                Some(*dtype)
            }
        }
    }

    fn same(&mut self, x: Option<DType>, y: Option<DType>, what: &str) -> Option<DType> {
        if let (Some(x), Some(y)) = (x, y)
            && x != y
        {
            self.error(format!("{what} mixes {x} and {y}"));
        }
        x.or(y)
    }

    /// Checks the right side of a `Let` and gives its type.
    fn scalar(&mut self, scalar: &Scalar) -> Option<DType> {
        match scalar {
            Scalar::Load(place) => self.place(place),
            Scalar::LoadIf { place, valid, otherwise } => {
                self.cond(valid);
                let (dtype, other) = (self.place(place), self.operand(otherwise));
                self.same(dtype, other, "a load")
            }
            Scalar::Index(dim, dtype) => {
                self.dim(dim);
                Some(*dtype)
            }
            Scalar::Unary(op, x) => {
                let dtype = self.operand(x)?;
                let result = Number::int(dtype, 1).unary(*op);
                self.result(result, op.name(), dtype)
            }
            Scalar::Binary(op, x, y) => {
                let (x, y) = (self.operand(x), self.operand(y));
                let dtype = self.same(x, y, op.name())?;
                let one = Number::int(dtype, 1);
                self.result(one.binary(*op, one), op.name(), dtype)
            }
            Scalar::MulAdd(x, y, z) => {
                let [x, y, z] = [x, y, z].map(|operand| self.operand(operand));
                let product = self.same(x, y, "a product");
                self.same(product, z, "a sum")
            }
            Scalar::Dot4(x, y, z) => {
                for (operand, dtype) in [(x, DType::U32), (y, DType::U32), (z, DType::I32)] {
                    let given = self.operand(operand);
                    self.same(given, Some(dtype), "a sum of four products");
                }
                Some(DType::I32)
            }
            Scalar::Select(test, x, y) => {
                let test = self.operand(test);
                self.same(test, Some(DType::Bool), "a test");
                let (x, y) = (self.operand(x), self.operand(y));
                self.same(x, y, "a selection")
            }
            Scalar::SelectIf(cond, x, y) => {
                self.cond(cond);
                let (x, y) = (self.operand(x), self.operand(y));
                self.same(x, y, "a selection")
            }
            Scalar::Cast(dtype, x) => {
                self.operand(x);
                Some(*dtype)
            }
            Scalar::Bitcast(dtype, x) => {
                let from = self.operand(x)?;
                if from.size() != dtype.size() {
                    self.error(format!("the bits of {from} as {dtype}"));
                }
                Some(*dtype)
            }
            Scalar::ShiftLeft(x, count) | Scalar::ShiftRight(x, count) => {
                let dtype = self.operand(x)?;
                if !dtype.is_integer() || *count as usize >= dtype.size() * 8 {
                    self.error(format!("a shift of {dtype} by {count}"));
                }
                Some(dtype)
            }
        }
    }

    fn result(&mut self, result: Option<Number>, op: &str, dtype: DType) -> Option<DType> {
        if result.is_none() {
            self.error(format!("`{op}` does not take {dtype}"));
        }
        result.map(Number::dtype)
    }
}
