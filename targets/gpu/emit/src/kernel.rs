//! One kernel as one entry point: its arguments, and what is in scope while its body is written.

use crate::builder::{Builder, Value};
use crate::fault::{Emit, Fault};
use crate::survey::{Accesses, QUAD};
use lostwax_device_gpu::format::{Feature, PIECE_BYTES, WORKGROUP, base_word, parameter_words, symbol_word};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, Kernel, LocalDecl, RowId, Storage, ValueId};
use lostwax_ir::types::DType;
use naga::{
    AddressSpace, ArraySize, BinaryOperator, BuiltIn, Expression, Handle, Module, Scalar, ScalarKind, Statement, StorageAccess,
    Type, TypeInner, VectorSize,
};
use std::collections::HashMap;
use std::num::NonZeroU32;

/// A value of kernel IR: one for all lanes, or one per lane.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) dtype: DType,
    pub(crate) lanes: Vec<Value>,
}

/// What a symbol stands for.
#[derive(Clone, Debug)]
pub(crate) enum Binding {
    /// The variable of an expanded loop.
    Constant(i64),
    /// An integer that is known from the block of that level on.
    Value(usize, Value),
    /// The variable of the enclosing vector loop.
    Lane,
    /// An integer that differs between lanes, by the symbols of each lane.
    PerLane(Vec<Symbol>),
}

/// The enclosing vector loop, and which of its lanes run.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    pub(crate) count: usize,
    /// A bool for each lane; all lanes run when `None`.
    pub(crate) mask: Option<Vec<Value>>,
    /// The loop's variable, if lanes may access four elements at once.
    pub(crate) quads: Option<Symbol>,
}

/// How memory holds an element of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// As registers do.
    Whole,
    /// As registers do, in vectors of four.
    Quads,
    /// As a float of 16 bits.
    Half,
    /// As bits of a word, which others may write to as well.
    Bits,
}

/// An argument.
pub(crate) struct Buffer {
    /// Its pieces.
    pub(crate) pointers: Vec<Value>,
    /// The element of the binding at which the argument begins.
    pub(crate) base: Dim,
    pub(crate) dtype: DType,
    pub(crate) element: Element,
    pub(crate) writable: bool,
}

/// The variables of a local.
pub(crate) enum Variables {
    /// One for each element.
    Elements(Vec<Value>),
    /// One for all, which any index addresses.
    Array(Value),
    /// The same, in vectors of four.
    Quads(Value),
}

pub(crate) struct Local {
    pub(crate) dtype: DType,
    pub(crate) len: u32,
    pub(crate) variables: Variables,
}

/// Variables that hold the address of a row: its element 0, and whether it exists.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) offset: Value,
    pub(crate) exists: Value,
}

/// A float of 16 bits.
const HALF: Scalar = Scalar { kind: ScalarKind::Float, width: 2 };

/// Writes one kernel.
pub(crate) struct Emitter<'k> {
    pub(crate) builder: Builder,
    pub(crate) kernel: &'k Kernel,
    /// The optional features that the kernel may use.
    optional: &'k [Feature],
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) locals: Vec<Local>,
    pub(crate) rows: Vec<Vec<Row>>,
    /// Integers that are known in each open block.
    pub(crate) sums: Vec<HashMap<Dim, Value>>,
    pub(crate) symbols: HashMap<Symbol, Binding>,
    pub(crate) values: HashMap<ValueId, Typed>,
    pub(crate) defined: Vec<ValueId>,
    pub(crate) lanes: Option<Lanes>,
    /// The thread that this invocation is, in kernels with threads.
    pub(crate) thread: Option<Value>,
    /// Whether threads may read what others have written to a buffer.
    pub(crate) rereads: bool,
}

/// The kernel as the entry point's function, in a module that also has the functions of `prelude`; uses optional features where they help.
pub(crate) fn emit_kernel(prelude: Module, kernel: &Kernel, optional: &[Feature]) -> Emit<(Module, naga::Function)> {
    let mut emitter = Emitter {
        builder: Builder::new(prelude),
        kernel,
        optional,
        buffers: Vec::new(),
        locals: Vec::new(),
        rows: Vec::new(),
        sums: vec![HashMap::new()],
        symbols: HashMap::new(),
        values: HashMap::new(),
        defined: Vec::new(),
        lanes: None,
        thread: None,
        rereads: false,
    };
    emitter.frame()?;
    emitter.block(&kernel.body)?;
    Ok(emitter.builder.finish())
}

/// The type that a value has in a register. Narrow integers are kept as wide ones, half precision as single.
pub(crate) fn register_type(dtype: DType) -> Emit<Scalar> {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Ok(Scalar::F32),
        DType::F64 => Ok(Scalar::F64),
        DType::I8 | DType::I16 | DType::I32 => Ok(Scalar::I32),
        DType::U8 | DType::U16 | DType::U32 => Ok(Scalar::U32),
        DType::I64 => Ok(Scalar::I64),
        DType::U64 => Ok(Scalar::U64),
        DType::Bool => Ok(Scalar::BOOL),
        DType::Block(format) => Fault::invalid(format!("elements of type {} cannot be addressed", format.name)),
    }
}

/// The name of a type's arithmetic in the prelude.
pub(crate) fn prefix(scalar: Scalar) -> &'static str {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 8) => "double",
        (ScalarKind::Float, _) => "float",
        (ScalarKind::Sint, 8) => "long",
        (ScalarKind::Sint, _) => "int",
        (_, 8) => "ulong",
        _ => "uint",
    }
}

impl Emitter<'_> {
    /// Declares the arguments, makes room for the locals, and ends the invocations outside of the grid.
    fn frame(&mut self) -> Emit<()> {
        let kernel = self.kernel;
        let accesses = Accesses::of(kernel);
        self.rereads = accesses.rereads;
        kernel.buffers.iter().zip(accesses.quad_buffers).try_for_each(|(decl, quads)| self.declare_buffer(decl, quads))?;
        let parameters = self.declare_parameters()?;
        let grid = self.parameter(parameters, 0);
        self.leave_unless_below(grid)?;
        if kernel.threads().is_some() {
            self.declare_thread();
        }
        for (position, symbol) in kernel.symbols.iter().enumerate() {
            let value = self.parameter(parameters, symbol_word(position));
            self.symbols.insert(symbol.clone(), Binding::Value(0, value));
        }
        for position in 0..self.buffers.len() {
            let value = self.parameter(parameters, base_word(kernel.symbols.len(), position));
            self.set_base(position, value);
        }
        kernel.locals.iter().zip(accesses.quad_locals).try_for_each(|(decl, quads)| self.declare_local(decl, quads))?;
        kernel.rows.iter().for_each(|decl| self.declare_rows(decl.len));
        Ok(())
    }

    fn declare_buffer(&mut self, decl: &BufferDecl, quads: bool) -> Emit<()> {
        if decl.writable && decl.pieces > 1 {
            return Fault::unsupported(format!("a result of more than {PIECE_BYTES} bytes"));
        }
        let element = if quads { Element::Quads } else { self.element_of(decl.dtype) };
        let scalar = match element {
            Element::Whole | Element::Quads => register_type(decl.dtype)?,
            Element::Half => HALF,
            Element::Bits => Scalar::U32,
        };
        let (inner, count) = match element {
            Element::Bits if decl.writable => (TypeInner::Atomic(scalar), 1),
            Element::Quads => (TypeInner::Vector { size: VectorSize::Quad, scalar }, QUAD as u32),
            _ => (TypeInner::Scalar(scalar), 1),
        };
        let base = self.builder.add_type(inner);
        let stride = count * u32::from(scalar.width);
        let ty = self.builder.add_type(TypeInner::Array { base, size: ArraySize::Dynamic, stride });
        // Arguments of one dispatch may lie in one allocation, which is bound for writing everywhere or nowhere.
        let access = StorageAccess::LOAD | StorageAccess::STORE;
        let first = self.binding_count();
        let piece = |number| self.builder.global(AddressSpace::Storage { access }, Some(first.saturating_add(number)), ty);
        let pointers = (0..decl.pieces).map(piece).collect();
        self.buffers.push(Buffer { pointers, base: Dim::default(), dtype: decl.dtype, element, writable: decl.writable });
        Ok(())
    }

    /// Reads the element at which an argument begins. A vector of four begins there if it is accessed by such vectors.
    fn set_base(&mut self, position: usize, value: Value) {
        let Some(buffer) = self.buffers.get_mut(position) else { return };
        let symbol = Symbol::new(format!("%base.{position}"), 0, i64::from(i32::MAX) / QUAD);
        let (factor, shift) = if buffer.element == Element::Quads { (QUAD, QUAD.trailing_zeros()) } else { (1, 0) };
        buffer.base = Dim::symbol(&symbol) * factor.into();
        let value = if shift == 0 {
            value
        } else {
            let shift = self.builder.uint(shift);
            self.builder.binary(BinaryOperator::ShiftRight, value, shift)
        };
        self.symbols.insert(symbol, Binding::Value(0, value));
    }

    fn element_of(&self, dtype: DType) -> Element {
        match dtype {
            DType::F16 if self.may_use(Feature::Float16) => Element::Half,
            dtype if dtype.size() >= 4 => Element::Whole,
            _ => Element::Bits,
        }
    }

    /// Whether the kernel may use an optional feature.
    pub(crate) fn may_use(&self, feature: Feature) -> bool {
        self.optional.contains(&feature)
    }

    /// The bindings that are declared.
    fn binding_count(&self) -> u32 {
        self.buffers.iter().map(|buffer| buffer.pointers.len() as u32).sum()
    }

    fn declare_parameters(&mut self) -> Emit<Value> {
        let words = parameter_words(self.kernel.symbols.len(), self.kernel.buffers.len());
        let vectors = u32::try_from(words.div_ceil(4)).ok().and_then(NonZeroU32::new);
        let Some(vectors) = vectors else { return Fault::invalid("it has too many symbols and buffers") };
        let base = self.builder.add_type(TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::I32 });
        let ty = self.builder.add_type(TypeInner::Array { base, size: ArraySize::Constant(vectors), stride: 16 });
        Ok(self.builder.global(AddressSpace::Uniform, Some(self.binding_count()), ty))
    }

    fn parameter(&mut self, parameters: Value, word: usize) -> Value {
        let vector = self.builder.value(Expression::AccessIndex { base: parameters, index: (word / 4) as u32 });
        let component = self.builder.value(Expression::AccessIndex { base: vector, index: (word % 4) as u32 });
        self.builder.load(component)
    }

    /// A component of a vector that each invocation is given.
    fn argument(&mut self, built_in: BuiltIn, component: u32) -> Value {
        let base = self.builder.argument(built_in, TypeInner::Vector { size: VectorSize::Tri, scalar: Scalar::U32 });
        self.builder.value(Expression::AccessIndex { base, index: component })
    }

    /// Finds the work item or workgroup of this invocation; invocations outside of the grid end.
    fn leave_unless_below(&mut self, grid: Value) -> Emit<()> {
        let item = self.grid_index();
        let limit = self.builder.convert(grid, ScalarKind::Uint, Some(4));
        let none = self.builder.binary(BinaryOperator::GreaterEqual, item, limit);
        self.builder.when(none, |builder| {
            builder.push(Statement::Return { value: None });
            Ok(())
        })?;
        let item = self.builder.convert(item, ScalarKind::Sint, Some(4));
        self.symbols.insert(self.kernel.item.clone(), Binding::Value(0, item));
        Ok(())
    }

    /// The number of the workgroup in kernels with threads, otherwise that of the invocation.
    fn grid_index(&mut self) -> Value {
        let (id, width) = match self.kernel.threads() {
            Some(_) => (BuiltIn::WorkGroupId, 1),
            None => (BuiltIn::GlobalInvocationId, WORKGROUP),
        };
        let (x, y) = (self.argument(id, 0), self.argument(id, 1));
        let (groups, width) = (self.argument(BuiltIn::NumWorkGroups, 0), self.builder.uint(width));
        let row = self.builder.binary(BinaryOperator::Multiply, groups, width);
        let above = self.builder.binary(BinaryOperator::Multiply, y, row);
        self.builder.binary(BinaryOperator::Add, x, above)
    }

    /// Finds the thread that this invocation is.
    fn declare_thread(&mut self) {
        let index = self.builder.argument(BuiltIn::LocalInvocationIndex, TypeInner::Scalar(Scalar::U32));
        self.thread = Some(self.builder.convert(index, ScalarKind::Sint, Some(4)));
    }

    fn declare_local(&mut self, decl: &LocalDecl, quads: bool) -> Emit<()> {
        let variables = match (decl.storage, NonZeroU32::new(decl.len)) {
            (Storage::Shared, Some(len)) if quads => {
                let ty = self.quads_of(decl.dtype, len)?;
                Variables::Quads(self.builder.global(AddressSpace::WorkGroup, None, ty))
            }
            (Storage::Memory, Some(len)) => {
                let ty = self.array_of(decl.dtype, len)?;
                Variables::Array(self.builder.variable(ty))
            }
            (Storage::Shared, Some(len)) => {
                let ty = self.array_of(decl.dtype, len)?;
                Variables::Array(self.builder.global(AddressSpace::WorkGroup, None, ty))
            }
            _ => {
                let element = self.builder.scalar_type(register_type(decl.dtype)?);
                Variables::Elements((0..decl.len).map(|_| self.builder.variable(element)).collect())
            }
        };
        self.locals.push(Local { dtype: decl.dtype, len: decl.len, variables });
        Ok(())
    }

    /// The type of an array of values as registers hold them.
    fn array_of(&mut self, dtype: DType, len: NonZeroU32) -> Emit<Handle<Type>> {
        let element = register_type(dtype)?;
        let base = self.builder.scalar_type(element);
        let stride = u32::from(element.width).max(4);
        Ok(self.builder.add_type(TypeInner::Array { base, size: ArraySize::Constant(len), stride }))
    }

    /// The type of an array of values in vectors of four.
    fn quads_of(&mut self, dtype: DType, len: NonZeroU32) -> Emit<Handle<Type>> {
        let scalar = register_type(dtype)?;
        let base = self.builder.add_type(TypeInner::Vector { size: VectorSize::Quad, scalar });
        let count = NonZeroU32::new(len.get() / QUAD as u32).unwrap_or(len);
        Ok(self.builder.add_type(TypeInner::Array { base, size: ArraySize::Constant(count), stride: 16 }))
    }

    fn declare_rows(&mut self, len: u32) {
        let (int, bool) = (self.builder.scalar_type(Scalar::I32), self.builder.scalar_type(Scalar::BOOL));
        let row = |builder: &mut Builder| Row { offset: builder.variable(int), exists: builder.variable(bool) };
        let rows = (0..len).map(|_| row(&mut self.builder)).collect();
        self.rows.push(rows);
    }

    /// The variables of one row address, which an expanded loop names by a constant.
    pub(crate) fn row(&self, id: RowId, at: &Dim) -> Emit<(Row, usize)> {
        let at = self.resolve(at);
        let rows = self.rows.get(id.0 as usize);
        let row = rows.zip(at.as_constant()).and_then(|(rows, at)| rows.get(usize::try_from(at).ok()?));
        match (row, self.kernel.rows.get(id.0 as usize)) {
            (Some(row), Some(decl)) => Ok((*row, decl.buffer.0 as usize)),
            _ => Fault::invalid(format!("there is no row {at} of array {}", id.0)),
        }
    }
}
