//! What is in scope while the body of a kernel is written.

use crate::fault::{Emit, Fault};
use crate::ir::{Ir, V};
use crate::machine::Machine;
use inkwell::basic_block::BasicBlock;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{FunctionValue, InstructionValue, IntValue, PointerValue};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, BufferId, Kernel, LocalId, ValueId};
use lostwax_ir::types::DType;
use std::collections::HashMap;

/// The alignment of the memory that holds zeros.
pub(crate) const ZEROS_ALIGNMENT: u32 = 64;

/// Values that are computed at the start of one iteration of a loop.
pub(crate) struct Scope<'c> {
    /// New computations go before this instruction.
    pub(crate) insertion_point: InstructionValue<'c>,
    pub(crate) sums: HashMap<Dim, IntValue<'c>>,
    pub(crate) addresses: HashMap<(BufferId, Dim), PointerValue<'c>>,
}

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

impl<'c> Emitter<'_, 'c, '_> {
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
