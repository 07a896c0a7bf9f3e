//! Loads and stores: contiguous lanes as vectors, other lanes one by one, and never an access to memory whose guard fails.

use crate::emitter::{Emitter, Typed};
use crate::fault::{Emit, Fault};
use crate::index::LaneIndex;
use crate::ir::{V, as_int, as_pointer, lanes_of, widen_type};
use inkwell::IntPredicate;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{InstructionOpcode, PointerValue};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{BufferId, LocalId, Place};
use lostwax_ir::types::DType;

/// Memory that indices count from.
#[derive(Clone, Copy)]
enum Base<'c> {
    Buffer(BufferId),
    Address(PointerValue<'c>),
}

/// The memory of one access, and what it holds.
#[derive(Clone, Copy)]
struct Memory<'c> {
    base: Base<'c>,
    dtype: DType,
    element: BasicTypeEnum<'c>,
}

impl<'c> Memory<'c> {
    fn alignment(&self) -> u32 {
        self.dtype.size() as u32
    }
}

impl<'c> Emitter<'_, 'c, '_> {
    /// Reads a place where `valid` holds, and gives `otherwise`, or 0, elsewhere.
    pub(crate) fn load(&mut self, place: &Place, valid: Option<V<'c>>, otherwise: Option<V<'c>>) -> Emit<Typed<'c>> {
        let (memory, index) = match place {
            Place::Buffer(buffer, index) => (self.buffer_memory(*buffer)?, index),
            Place::Row(row, at, index) => {
                let (slot, buffer) = self.row_slot(*row, at)?;
                let address = self.ir.load(self.ir.pointer_type().into(), slot, 8)?.into_pointer_value();
                (Memory { base: Base::Address(address), ..self.buffer_memory(buffer)? }, index)
            }
            Place::Local(local, index) => return self.load_local(*local, index, valid, otherwise),
        };
        let running = self.lanes.as_ref().and_then(|lanes| lanes.mask);
        let guard = self.both(running, valid)?;
        let bits = self.load_guarded(&memory, index, guard)?;
        let value = self.as_loaded(memory.dtype, bits)?;
        self.replace_unless(memory.dtype, valid, value, otherwise)
    }

    fn replace_unless(&self, dtype: DType, valid: Option<V<'c>>, value: V<'c>, otherwise: Option<V<'c>>) -> Emit<Typed<'c>> {
        let (Some(valid), Some(otherwise)) = (valid, otherwise) else { return Ok(Typed { dtype, value }) };
        let (value, otherwise) = self.ir.align(value, otherwise)?;
        let value = self.select_lanes(valid, value, otherwise)?;
        Ok(Typed { dtype, value })
    }

    /// Selects with every operand made as wide as the widest.
    pub(crate) fn select_lanes(&self, condition: V<'c>, then: V<'c>, otherwise: V<'c>) -> Emit<V<'c>> {
        let (mut then, mut otherwise) = self.ir.align(then, otherwise)?;
        if let Some(lanes) = lanes_of(condition) {
            (then, otherwise) = (self.ir.splat(then, lanes)?, self.ir.splat(otherwise, lanes)?);
        }
        self.ir.select(condition, then, otherwise)
    }

    fn buffer_memory(&self, buffer: BufferId) -> Emit<Memory<'c>> {
        let dtype = self.buffer(buffer)?.dtype;
        Ok(Memory { base: Base::Buffer(buffer), dtype, element: self.memory_type(dtype)? })
    }

    fn address(&mut self, memory: &Memory<'c>, index: &Dim) -> Emit<PointerValue<'c>> {
        match memory.base {
            Base::Buffer(buffer) => self.buffer_address(buffer, index),
            Base::Address(address) => {
                let index = self.integer(index)?;
                self.ir.offset(memory.element, address, index)
            }
        }
    }

    fn load_guarded(&mut self, memory: &Memory<'c>, index: &Dim, guard: Option<V<'c>>) -> Emit<V<'c>> {
        let (element, alignment) = (memory.element, memory.alignment());
        let vector = widen_type(element, Some(self.lane_count()));
        match self.lane_index(index) {
            LaneIndex::Uniform(index) => {
                let address = self.address(memory, &index)?;
                let address = self.guarded(address, guard)?;
                self.ir.load(element, address, alignment)
            }
            LaneIndex::Affine { coefficient: 1, rest } => {
                let address = self.address(memory, &rest)?;
                match guard {
                    Some(mask @ V::VectorValue(_)) => self.ir.masked_load(address, alignment, mask, vector.const_zero()),
                    _ => self.ir.load(vector, self.guarded(address, guard)?, alignment),
                }
            }
            scattered => {
                let addresses = self.lane_addresses(memory, scattered)?;
                let mut lanes = Vec::with_capacity(addresses.len());
                for (lane, address) in addresses.into_iter().enumerate() {
                    let bit = guard.map(|guard| self.ir.lane(guard, lane as u32)).transpose()?;
                    lanes.push(self.ir.load(element, self.guarded(address, bit)?, alignment)?);
                }
                self.ir.gather(&lanes)
            }
        }
    }

    /// `address` where the guard holds, for any lane if it has lanes; memory that holds zeros elsewhere.
    fn guarded(&self, address: PointerValue<'c>, guard: Option<V<'c>>) -> Emit<PointerValue<'c>> {
        match guard {
            None => Ok(address),
            Some(guard) => as_pointer(self.ir.select(self.any(guard)?, address.into(), self.zeros.into())?),
        }
    }

    fn any(&self, guard: V<'c>) -> Emit<V<'c>> {
        match guard {
            V::VectorValue(_) => self.ir.intrinsic("llvm.vector.reduce.or", &[guard.get_type()], &[guard]),
            _ => Ok(guard),
        }
    }

    fn lane_addresses(&mut self, memory: &Memory<'c>, index: LaneIndex) -> Emit<Vec<PointerValue<'c>>> {
        match index {
            LaneIndex::Affine { coefficient, rest } => {
                let first = self.address(memory, &rest)?;
                let step = |lane: u32| self.ir.i64(coefficient.wrapping_mul(lane.into()));
                (0..self.lane_count()).map(|lane| self.ir.offset(memory.element, first, step(lane))).collect()
            }
            LaneIndex::PerLane(indices) => indices.iter().map(|index| self.address(memory, index)).collect(),
            LaneIndex::Uniform(index) => Ok(vec![self.address(memory, &index)?; self.lane_count() as usize]),
        }
    }

    pub(crate) fn store_buffer(&mut self, buffer: BufferId, index: &Dim, value: Typed<'c>) -> Emit<()> {
        let decl = self.buffer(buffer)?;
        if decl.dtype != value.dtype || !decl.writable {
            return Fault::invalid(format!("a {} cannot be stored to `{}`", value.dtype, decl.name));
        }
        let memory = self.buffer_memory(buffer)?;
        let bits = self.as_stored(value)?;
        let mask = self.lanes.as_ref().and_then(|lanes| lanes.mask);
        match self.lane_index(index) {
            LaneIndex::Uniform(index) => {
                let address = self.address(&memory, &index)?;
                self.store_one(&memory, address, bits, mask)
            }
            LaneIndex::Affine { coefficient: 1, rest } => {
                let address = self.address(&memory, &rest)?;
                let bits = self.ir.splat(bits, self.lane_count())?;
                match mask {
                    Some(mask) => self.ir.masked_store(bits, address, memory.alignment(), mask),
                    None => self.ir.store(bits, address, memory.alignment()),
                }
            }
            scattered => self.store_scattered(&memory, scattered, bits, mask),
        }
    }

    fn store_one(&mut self, memory: &Memory<'c>, address: PointerValue<'c>, bits: V<'c>, mask: Option<V<'c>>) -> Emit<()> {
        if lanes_of(bits).is_some() {
            return Fault::invalid("lanes with different values are stored to one element");
        }
        let Some(mask) = mask else { return self.ir.store(bits, address, memory.alignment()) };
        let (some, after) = (self.new_block(), self.new_block());
        let any = as_int(self.any(mask)?)?;
        self.branch(any, some, after)?;
        self.continue_in(some);
        self.ir.store(bits, address, memory.alignment())?;
        self.jump_to(after)?;
        self.continue_in(after);
        Ok(())
    }

    fn store_scattered(&mut self, memory: &Memory<'c>, index: LaneIndex, bits: V<'c>, mask: Option<V<'c>>) -> Emit<()> {
        let addresses = self.lane_addresses(memory, index)?;
        if let Some(mask) = mask {
            let addresses: Vec<V> = addresses.into_iter().map(Into::into).collect();
            let bits = self.ir.splat(bits, self.lane_count())?;
            return self.ir.masked_scatter(bits, self.ir.gather(&addresses)?, memory.alignment(), mask);
        }
        for (lane, address) in addresses.into_iter().enumerate() {
            self.ir.store(self.ir.lane(bits, lane as u32)?, address, memory.alignment())?;
        }
        Ok(())
    }

    fn load_local(&mut self, local: LocalId, index: &Dim, valid: Option<V<'c>>, otherwise: Option<V<'c>>) -> Emit<Typed<'c>> {
        let (memory, lanes) = self.local_memory(local, index)?;
        let bits = self.load_lanes(&memory, lanes)?;
        let value = self.as_loaded(memory.dtype, bits)?;
        self.replace_unless(memory.dtype, valid, value, otherwise)
    }

    fn load_lanes(&mut self, memory: &Memory<'c>, index: LaneIndex) -> Emit<V<'c>> {
        match index {
            LaneIndex::Uniform(index) => {
                let address = self.address(memory, &index)?;
                self.ir.load(memory.element, address, memory.alignment())
            }
            LaneIndex::Affine { coefficient: 1, rest } => {
                let address = self.address(memory, &rest)?;
                let vector = widen_type(memory.element, Some(self.lane_count()));
                self.ir.load(vector, address, memory.alignment())
            }
            scattered => {
                let addresses = self.lane_addresses(memory, scattered)?.into_iter();
                let lanes: Emit<Vec<V>> =
                    addresses.map(|address| self.ir.load(memory.element, address, memory.alignment())).collect();
                self.ir.gather(&lanes?)
            }
        }
    }

    fn local_memory(&self, local: LocalId, index: &Dim) -> Emit<(Memory<'c>, LaneIndex)> {
        let (address, dtype, len) = self.local(local)?;
        let lanes = self.lane_index(index);
        let last = i64::from(self.lane_count()) - 1;
        let (low, high) = match &lanes {
            LaneIndex::Uniform(index) => (index.as_constant(), index.as_constant()),
            LaneIndex::Affine { coefficient, rest } => {
                let ends = rest.as_constant().map(|rest| (rest, rest.saturating_add(coefficient.saturating_mul(last))));
                (ends.map(|(a, b)| a.min(b)), ends.map(|(a, b)| a.max(b)))
            }
            LaneIndex::PerLane(dims) => {
                let constants = dims.iter().filter_map(Dim::as_constant);
                (constants.clone().min(), constants.max())
            }
        };
        if low.is_some_and(|low| low < 0) || high.is_some_and(|high| high >= len.into()) {
            return Fault::invalid(format!("a local of {len} elements is addressed outside"));
        }
        let memory = Memory { base: Base::Address(address), dtype, element: self.memory_type(dtype)? };
        Ok((memory, lanes))
    }

    /// Lanes that do not run keep what the local held: a vector is read, blended and written, which registers can hold.
    pub(crate) fn store_local(&mut self, local: LocalId, index: &Dim, value: Typed<'c>) -> Emit<()> {
        let (memory, lanes) = self.local_memory(local, index)?;
        if memory.dtype != value.dtype {
            return Fault::invalid(format!("a {} is stored to a local of type {}", value.dtype, memory.dtype));
        }
        let mut bits = self.as_stored(value)?;
        let mask = self.lanes.as_ref().and_then(|lanes| lanes.mask);
        match lanes {
            LaneIndex::Uniform(index) => {
                let address = self.address(&memory, &index)?;
                self.store_one(&memory, address, bits, mask)
            }
            LaneIndex::Affine { coefficient: 1, rest } => {
                let address = self.address(&memory, &rest)?;
                bits = self.ir.splat(bits, self.lane_count())?;
                if let Some(mask) = mask {
                    let before = self.load_lanes(&memory, LaneIndex::Affine { coefficient: 1, rest })?;
                    bits = self.ir.select(mask, bits, before)?;
                }
                self.ir.store(bits, address, memory.alignment())
            }
            scattered => self.store_scattered(&memory, scattered, bits, mask),
        }
    }

    /// A value in a register from its bits in memory; they differ for bools.
    fn as_loaded(&self, dtype: DType, bits: V<'c>) -> Emit<V<'c>> {
        match dtype {
            DType::Bool => self.ir.icmp(IntPredicate::NE, bits, bits.get_type().const_zero()),
            _ => Ok(bits),
        }
    }

    fn as_stored(&self, value: Typed<'c>) -> Emit<V<'c>> {
        match value.dtype {
            DType::Bool => self.ir.cast(InstructionOpcode::ZExt, value.value, self.ir.int_type(8).into()),
            _ => Ok(value.value),
        }
    }
}
