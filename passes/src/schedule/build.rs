//! Building kernels: statements, scalars and the expansion of bodies.

use super::nest::Nest;
use lostwax_ir::compute::{Axis, Body, Step, StepId};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{
    BufferDecl, BufferId, Cond, Kernel, LocalDecl, LocalId, LoopKind, Operand, Place, RowDecl, RowId, Scalar, Stmt, Storage,
    ValueId,
};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use std::collections::BTreeMap;

/// A list of statements under construction.
pub(super) type Block = Vec<Stmt>;

/// Collects what a kernel declares while its body is built.
pub(super) struct KernelBuilder {
    pub(super) buffers: Vec<BufferDecl>,
    locals: Vec<LocalDecl>,
    rows: Vec<RowDecl>,
    values: u32,
    symbols: u32,
}

impl KernelBuilder {
    /// A builder for a kernel with these arguments.
    pub(super) fn new(buffers: Vec<BufferDecl>) -> Self {
        Self { buffers, locals: Vec::new(), rows: Vec::new(), values: 0, symbols: 0 }
    }

    /// A loop variable with a name of its own.
    pub(super) fn symbol(&mut self, name: &str, extent: &Dim) -> Symbol {
        self.symbols += 1;
        Symbol::index(format!("{name}.{}", self.symbols), extent)
    }

    pub(super) fn local(&mut self, name: &str, dtype: DType, len: u32) -> LocalId {
        self.declare(name, dtype, len, Storage::Registers)
    }

    /// A local whose indices may be anything.
    pub(super) fn memory(&mut self, name: &str, dtype: DType, len: u32) -> LocalId {
        self.declare(name, dtype, len, Storage::Memory)
    }

    /// A local that all threads of a workgroup share.
    pub(super) fn shared(&mut self, name: &str, dtype: DType, len: u32) -> LocalId {
        self.declare(name, dtype, len, Storage::Shared)
    }

    fn declare(&mut self, name: &str, dtype: DType, len: u32, storage: Storage) -> LocalId {
        self.locals.push(LocalDecl { name: name.to_string(), dtype, len, storage });
        LocalId(self.locals.len() as u32 - 1)
    }

    pub(super) fn rows(&mut self, name: &str, buffer: BufferId, len: u32, extent: u32) -> RowId {
        self.rows.push(RowDecl { name: name.to_string(), buffer, len, extent });
        RowId(self.rows.len() as u32 - 1)
    }

    /// Appends a definition.
    pub(super) fn define(&mut self, block: &mut Block, value: Scalar) -> Operand {
        let id = ValueId(self.values);
        self.values += 1;
        block.push(Stmt::Let { id, value });
        Operand::Value(id)
    }

    /// The type of an input's elements.
    pub(super) fn dtype(&self, input: u32) -> DType {
        self.buffers.get(input as usize).map_or(DType::F32, |buffer| buffer.dtype)
    }

    /// Appends the steps of `body` and gives its result.
    pub(super) fn expand(&mut self, block: &mut Block, body: &Body, context: &Context<'_>) -> Operand {
        let mut values: Vec<Operand> = Vec::with_capacity(body.steps.len());
        let mut dynamic: BTreeMap<Symbol, Dim> = BTreeMap::new();
        for step in &body.steps {
            let value = self.expand_step(block, step, context, &values, &mut dynamic);
            values.push(value);
        }
        values.pop().unwrap_or(Operand::Int(DType::I64, 0))
    }

    /// Appends the result of a nest at bound loops, and its store.
    pub(super) fn store_result(&mut self, block: &mut Block, nest: &Nest, context: &Context<'_>) {
        let value = self.expand(block, &nest.result, context);
        let output = BufferId(self.buffers.len() as u32 - 1);
        block.push(Stmt::Store { place: Place::Buffer(output, context.dim(&nest.index)), value });
    }

    /// Appends one step, of whose operands the values are given by position.
    pub(super) fn expand_step(
        &mut self,
        block: &mut Block,
        step: &Step,
        context: &Context<'_>,
        values: &[Operand],
        dynamic: &mut BTreeMap<Symbol, Dim>,
    ) -> Operand {
        let of = |id: &StepId| values.get(id.0 as usize).cloned().unwrap_or(Operand::Int(DType::I64, 0));
        let place = |dim: &Dim| context.dim(dim).substitute(&|symbol| dynamic.get(symbol).cloned());
        let cond = |cond: &Cond| Cond(cond.0.iter().map(place).collect()).simplify();
        let scalar = match step {
            Step::Load { input, coords, valid, otherwise } => {
                let place = Place::Buffer(BufferId(*input), coords.first().map_or_else(Dim::default, place));
                let valid = if context.unguarded { Cond::default() } else { cond(valid) };
                match valid.always() {
                    true => Scalar::Load(place),
                    false => Scalar::LoadIf { place, valid, otherwise: literal(self.dtype(*input), *otherwise) },
                }
            }
            Step::Float(dtype, bits) => return Operand::Float(*dtype, *bits),
            Step::Int(dtype, value) => return Operand::Int(*dtype, *value),
            Step::Index(dim, dtype) => Scalar::Index(place(dim), *dtype),
            Step::Dynamic(symbol, value) => return self.expand_dynamic(block, symbol, of(value), dynamic),
            Step::Unary(op, x) => Scalar::Unary(*op, of(x)),
            Step::Binary(op, x, y) => self.binary(block, *op, of(x), of(y), context.contracted),
            Step::Select(test, x, y) => Scalar::Select(of(test), of(x), of(y)),
            Step::SelectIf(test, x, y) => Scalar::SelectIf(cond(test), of(x), of(y)),
            Step::Cast(dtype, x) => Scalar::Cast(*dtype, of(x)),
            Step::Bitcast(dtype, x) => Scalar::Bitcast(*dtype, of(x)),
            Step::Dot4(x, y, total) => Scalar::Dot4(of(x), of(y), of(total)),
            Step::Reduced => return context.reduced.clone().unwrap_or(Operand::Int(DType::I64, 0)),
        };
        self.define(block, scalar)
    }

    /// An operation on two values; with `contracted`, a product plus or minus something becomes one operation.
    fn binary(&mut self, block: &mut Block, op: BinaryOp, x: Operand, y: Operand, contracted: bool) -> Scalar {
        let product = block.iter().rev().find_map(|stmt| match stmt {
            Stmt::Let { id, value: Scalar::Binary(BinaryOp::Mul, a, b) } if contracted && x == Operand::Value(*id) => {
                Some((a.clone(), b.clone()))
            }
            _ => None,
        });
        match (op, product) {
            (BinaryOp::Add, Some((a, b))) => Scalar::MulAdd(a, b, y),
            (BinaryOp::Sub, Some((a, b))) => {
                let negated = self.define(block, Scalar::Unary(UnaryOp::Neg, y));
                Scalar::MulAdd(a, b, negated)
            }
            _ => Scalar::Binary(op, x, y),
        }
    }

    fn expand_dynamic(
        &mut self,
        block: &mut Block,
        symbol: &Symbol,
        value: Operand,
        dynamic: &mut BTreeMap<Symbol, Dim>,
    ) -> Operand {
        self.symbols += 1;
        let fresh = Symbol::new(format!("{}.{}", symbol.name(), self.symbols), symbol.min(), symbol.max());
        block.push(Stmt::LetIndex { symbol: fresh.clone(), value: value.clone() });
        dynamic.insert(symbol.clone(), Dim::symbol(&fresh));
        value
    }

    /// The finished kernel. Its symbols are those that the body uses and does not define.
    pub(super) fn finish(self, name: &str, item: Symbol, grid: Dim, body: Block) -> Kernel {
        let mut kernel = Kernel {
            name: name.to_string(),
            symbols: Vec::new(),
            item,
            grid,
            buffers: self.buffers,
            locals: self.locals,
            rows: self.rows,
            body,
        };
        kernel.symbols = super::symbols::free_symbols(&kernel);
        kernel
    }
}

/// A constant of a load's type from the bits that a step holds.
pub(super) fn literal(dtype: DType, bits: u64) -> Operand {
    if dtype.is_float() { Operand::Float(dtype, bits) } else { Operand::Int(dtype, bits as i64) }
}

/// What the loops of a body stand for where it is expanded.
#[derive(Clone, Default)]
pub(super) struct Context<'a> {
    /// Values of loop symbols.
    pub(super) bindings: BTreeMap<&'a Symbol, Dim>,
    /// The value of [`Step::Reduced`].
    pub(super) reduced: Option<Operand>,
    /// Whether the conditions of loads are known to hold.
    pub(super) unguarded: bool,
    /// Whether a product to which something is added is rounded only once, with the sum.
    pub(super) contracted: bool,
}

impl<'a> Context<'a> {
    /// The same with one more binding.
    pub(super) fn bind(mut self, symbol: &'a Symbol, value: Dim) -> Self {
        self.bindings.insert(symbol, value);
        self
    }

    /// The dim with all bindings applied.
    pub(super) fn dim(&self, dim: &Dim) -> Dim {
        dim.substitute(&|symbol| self.bindings.get(symbol).cloned())
    }

    /// The condition with all bindings applied.
    pub(super) fn cond(&self, cond: &Cond) -> Cond {
        Cond(cond.0.iter().map(|part| self.dim(part)).collect()).simplify()
    }
}

/// The context with loops bound to coordinates.
pub(super) fn bind_each<'c>(context: Context<'c>, axes: &'c [Axis], coords: &[Dim]) -> Context<'c> {
    axes.iter().zip(coords).fold(context, |context, (axis, at)| context.bind(&axis.symbol, at.clone()))
}

/// The context with loops bound to the point at a flat position.
pub(super) fn bind<'c>(context: Context<'c>, axes: &'c [Axis], flat: &Dim) -> Context<'c> {
    bind_each(context, axes, &unflatten(flat, &extents(axes)))
}

/// The iterations of each loop.
pub(super) fn extents(axes: &[Axis]) -> Vec<Dim> {
    axes.iter().map(|axis| axis.extent.clone()).collect()
}

/// A loop.
pub(super) fn for_loop(var: &Symbol, extent: impl Into<Dim>, kind: LoopKind, body: Block) -> Stmt {
    Stmt::For { var: var.clone(), extent: extent.into(), kind, body }
}

/// Runs `then` where `cond` holds; without a condition, `then` itself.
pub(super) fn when(cond: Cond, then: Block) -> Block {
    if cond.always() { then } else { vec![Stmt::If { cond, then, otherwise: Vec::new() }] }
}

/// All lanes of a vector loop.
pub(super) const ALL_LANES: LoopKind = LoopKind::Vector { active: None };

/// Splits a flat position into one coordinate per loop, the last one fastest.
pub(super) fn unflatten(flat: &Dim, extents: &[Dim]) -> Vec<Dim> {
    let mut rest = flat.clone();
    let mut coords = vec![Dim::default(); extents.len()];
    for position in (0..extents.len()).rev() {
        if position == 0 {
            coords[0] = rest.clone();
        } else {
            coords[position] = rest.modulo(&extents[position]);
            rest = rest.floor_div(&extents[position]);
        }
    }
    coords
}
