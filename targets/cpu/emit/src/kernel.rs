//! One kernel as one function: its frame, and what is in scope while its body is written.

use crate::fault::{Emit, Fault};
use crate::index::Scope;
use crate::ir::{Ir, V, array_of};
use crate::machine::Machine;
use crate::stmt::Range;
use inkwell::basic_block::BasicBlock;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{FunctionValue, IntValue, PointerValue};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, BufferId, Kernel, LocalId, RowId, Storage, ValueId};
use lostwax_ir::types::DType;
use std::collections::HashMap;

/// Bytes of a cache line, which no vector of addressable locals should cross.
const CACHE_LINE: u32 = 64;

/// A value of kernel IR: one scalar, or one per lane.
#[derive(Clone, Copy)]
pub(crate) struct Typed<'c> {
    pub(crate) dtype: DType,
    pub(crate) value: V<'c>,
}

/// What a symbol stands for.
#[derive(Clone)]
pub(crate) enum Binding<'c> {
    /// The variable of an expanded loop.
    Constant(i64),
    /// Another symbol plus a constant: the variable of one copy of a loop body.
    Shifted(Symbol, i64),
    /// A run-time integer, defined in the scope of that level.
    Value(usize, IntValue<'c>),
    /// The variable of the enclosing vector loop.
    Lane,
    /// An integer that differs between lanes, by the symbols of each lane.
    PerLane(Vec<Symbol>),
}

/// The enclosing vector loop.
#[derive(Clone)]
pub(crate) struct Lanes<'c> {
    pub(crate) var: Symbol,
    pub(crate) count: u32,
    /// The lanes that run; all of them when `None`.
    pub(crate) mask: Option<V<'c>>,
}

/// Where the next instruction goes.
#[derive(Clone, Copy)]
pub(crate) enum Position<'c> {
    /// To the end of a block.
    End(BasicBlock<'c>),
    /// To the insertion point of the scope of that level, for what does not change within it.
    Hoisted(usize),
}

/// Writes one kernel.
pub(crate) struct Emitter<'m, 'c, 'k> {
    pub(crate) ir: Ir<'m, 'c>,
    pub(crate) machine: &'k Machine,
    pub(crate) kernel: &'k Kernel,
    pub(crate) function: FunctionValue<'c>,
    pub(crate) zeros: PointerValue<'c>,
    pub(crate) buffers: Vec<PointerValue<'c>>,
    pub(crate) locals: Vec<PointerValue<'c>>,
    pub(crate) rows: Vec<PointerValue<'c>>,
    pub(crate) scopes: Vec<Scope<'c>>,
    pub(crate) position: Position<'c>,
    pub(crate) symbols: HashMap<Symbol, Binding<'c>>,
    pub(crate) values: HashMap<ValueId, Typed<'c>>,
    pub(crate) defined: Vec<ValueId>,
    pub(crate) lanes: Option<Lanes<'c>>,
}

/// Writes `kernel` as the body of `function`, which takes the buffers, the symbols and the range of work items.
pub(crate) fn emit_kernel<'m, 'c>(
    ir: Ir<'m, 'c>,
    machine: &Machine,
    kernel: &Kernel,
    function: FunctionValue<'c>,
    zeros: PointerValue<'c>,
) -> Emit<()> {
    let entry = ir.context.append_basic_block(function, "");
    ir.builder.position_at_end(entry);
    let mut emitter = Emitter {
        ir,
        machine,
        kernel,
        function,
        zeros,
        buffers: Vec::new(),
        locals: Vec::new(),
        rows: Vec::new(),
        scopes: Vec::new(),
        position: Position::End(entry),
        symbols: HashMap::new(),
        values: HashMap::new(),
        defined: Vec::new(),
        lanes: None,
    };
    emitter.frame()?;
    emitter.work_items()
}

impl<'c> Emitter<'_, 'c, '_> {
    /// Reads the arguments and makes room for the locals.
    fn frame(&mut self) -> Emit<()> {
        let pointer: BasicTypeEnum = self.ir.pointer_type().into();
        let buffers = self.argument(0)?.into_pointer_value();
        for position in 0..self.kernel.buffers.len() {
            let slot = self.ir.offset(pointer, buffers, self.ir.i64(position as i64))?;
            self.buffers.push(self.ir.load(pointer, slot, 8)?.into_pointer_value());
        }
        for local in &self.kernel.locals {
            let array = array_of(self.memory_type(local.dtype)?, local.len);
            let address = self.ir.builder.build_alloca(array, "")?;
            if let Some(instruction) = address.as_instruction().filter(|_| local.storage == Storage::Memory) {
                instruction.set_alignment(CACHE_LINE).map_err(|error| Fault::Generator(error.to_string()))?;
            }
            self.locals.push(address);
        }
        for row in &self.kernel.rows {
            self.rows.push(self.ir.builder.build_alloca(array_of(pointer, row.len), "")?);
        }
        let symbols = self.argument(1)?.into_pointer_value();
        self.bind_symbols(symbols)?;
        self.open_scope()
    }

    fn bind_symbols(&mut self, symbols: PointerValue<'c>) -> Emit<()> {
        let int: BasicTypeEnum = self.ir.int_type(64).into();
        for (position, symbol) in self.kernel.symbols.iter().enumerate() {
            let slot = self.ir.offset(int, symbols, self.ir.i64(position as i64))?;
            let value = self.ir.load(int, slot, 8)?.into_int_value();
            self.symbols.insert(symbol.clone(), Binding::Value(0, value));
        }
        Ok(())
    }

    fn work_items(&mut self) -> Emit<()> {
        let (begin, end) = (self.argument(2)?.into_int_value(), self.argument(3)?.into_int_value());
        let kernel = self.kernel;
        let after = self.new_block();
        self.skip_unless(inkwell::IntPredicate::SLT, begin, end, after)?;
        self.counted_loop(&kernel.item, Range { first: begin, last: end, copies: 1 }, after, &kernel.body)?;
        Ok(self.ir.builder.build_return(None).map(|_| ())?)
    }

    fn argument(&self, position: u32) -> Emit<V<'c>> {
        self.function.get_nth_param(position).ok_or_else(|| Fault::Generator("a function lacks a parameter".into()))
    }

    pub(crate) fn buffer(&self, id: BufferId) -> Emit<&BufferDecl> {
        let found = self.kernel.buffers.get(id.0 as usize);
        found.ok_or_else(|| Fault::Invalid(format!("there is no buffer {}", id.0)))
    }

    pub(crate) fn local(&self, id: LocalId) -> Emit<(PointerValue<'c>, DType, u32)> {
        match self.kernel.locals.get(id.0 as usize) {
            Some(decl) => Ok((self.locals[id.0 as usize], decl.dtype, decl.len)),
            None => Fault::invalid(format!("there is no local {}", id.0)),
        }
    }

    /// Where the address `at` of a row array is kept.
    pub(crate) fn row_slot(&mut self, id: RowId, at: &Dim) -> Emit<(PointerValue<'c>, BufferId)> {
        let Some(decl) = self.kernel.rows.get(id.0 as usize) else {
            return Fault::invalid(format!("there is no row array {}", id.0));
        };
        let at = self.resolve(at);
        if at.as_constant().is_some_and(|at| at < 0 || at >= decl.len.into()) {
            return Fault::invalid(format!("row {at} of `{}` does not exist", decl.name));
        }
        let index = self.integer(&at)?;
        let slot = self.ir.offset(self.ir.pointer_type().into(), self.rows[id.0 as usize], index)?;
        Ok((slot, decl.buffer))
    }

    /// The type that a value has in a register, without lanes.
    pub(crate) fn register_type(&self, dtype: DType) -> Emit<BasicTypeEnum<'c>> {
        match dtype {
            DType::F32 => Ok(self.ir.float_type(32).into()),
            DType::F64 => Ok(self.ir.float_type(64).into()),
            DType::Bool => Ok(self.ir.int_type(1).into()),
            _ => self.memory_type(dtype),
        }
    }

    /// The type that an element has in memory. Half-precision floats are kept as their bits everywhere.
    pub(crate) fn memory_type(&self, dtype: DType) -> Emit<BasicTypeEnum<'c>> {
        match dtype {
            DType::F32 => Ok(self.ir.float_type(32).into()),
            DType::F64 => Ok(self.ir.float_type(64).into()),
            DType::Block(format) => Fault::invalid(format!("elements of type {} cannot be addressed", format.name)),
            _ => Ok(self.ir.int_type(dtype.size() as u32 * 8).into()),
        }
    }

    pub(crate) fn new_block(&self) -> BasicBlock<'c> {
        self.ir.context.append_basic_block(self.function, "")
    }

    pub(crate) fn move_to(&mut self, position: Position<'c>) {
        self.position = position;
        match position {
            Position::End(block) => self.ir.builder.position_at_end(block),
            Position::Hoisted(level) => self.ir.builder.position_before(&self.scopes[level].insertion_point),
        }
    }

    pub(crate) fn continue_in(&mut self, block: BasicBlock<'c>) {
        self.move_to(Position::End(block));
    }

    pub(crate) fn jump_to(&mut self, block: BasicBlock<'c>) -> Emit<()> {
        self.ir.builder.build_unconditional_branch(block)?;
        Ok(())
    }

    pub(crate) fn branch(&mut self, condition: IntValue<'c>, then: BasicBlock<'c>, otherwise: BasicBlock<'c>) -> Emit<()> {
        self.ir.builder.build_conditional_branch(condition, then, otherwise)?;
        Ok(())
    }
}
