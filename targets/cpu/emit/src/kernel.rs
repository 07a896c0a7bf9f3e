//! One kernel as one function.

use crate::emitter::{Binding, Emitter, Position};
use crate::fault::{Emit, Fault};
use crate::ir::{Ir, V, array_of};
use crate::machine::Machine;
use crate::stmt::Range;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{FunctionValue, PointerValue};
use lostwax_ir::kernel::{Kernel, Storage};
use std::collections::HashMap;

/// Bytes of a cache line, which no vector of addressable locals should cross.
const CACHE_LINE: u32 = 64;

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
}
