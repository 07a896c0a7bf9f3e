//! Loads and stores: no access to memory whose guard fails, and elements smaller than a word as bits of words.

use crate::builder::Value;
use crate::fault::{Emit, Fault};
use crate::kernel::{Element, Emitter, Typed, Variables, register_type};
use crate::survey::QUAD;
use lostwax_device_gpu::format::PIECE_BYTES;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{BufferId, LocalId, Operand, Place};
use lostwax_ir::types::DType;
use naga::{AtomicFunction, BinaryOperator, Expression, MathFunction, Scalar, ScalarKind, Statement, UnaryOperator};

/// An element smaller than a word: the number of its word, and its first bit.
#[derive(Clone, Copy)]
struct PackedElement {
    word: Value,
    shift: Value,
}

impl Emitter<'_> {
    /// Reads a place in one lane where `valid` holds; elsewhere the value is arbitrary.
    pub(crate) fn load_in(&mut self, place: &Place, lane: usize, valid: Option<Value>) -> Emit<(DType, Value)> {
        match place {
            Place::Buffer(buffer, index) => {
                let guard = self.both(self.running(lane), valid);
                let index = self.element(buffer.0 as usize, index, lane)?;
                self.load_element(buffer.0 as usize, index, guard)
            }
            Place::Local(local, index) => self.load_local(*local, index, lane),
            Place::Row(row, at, index) => {
                let (row, buffer) = self.row(*row, at)?;
                let (offset, exists) = (self.builder.load(row.offset), self.builder.load(row.exists));
                let index = self.element(buffer, index, lane)?;
                let index = self.builder.binary(BinaryOperator::Add, offset, index);
                let running = self.both(self.running(lane), valid);
                let guard = self.both(Some(exists), running);
                let (dtype, value) = self.load_element(buffer, index, guard)?;
                let zero = self.zero(dtype)?;
                Ok((dtype, self.builder.select(exists, value, zero)))
            }
        }
    }

    pub(crate) fn zero(&mut self, dtype: DType) -> Emit<Value> {
        let ty = self.builder.scalar_type(register_type(dtype)?);
        Ok(self.builder.constant(Expression::ZeroValue(ty)))
    }

    /// The element of the binding that an index of an argument stands for.
    fn element(&mut self, buffer: usize, index: &Dim, lane: usize) -> Emit<Value> {
        match self.buffers.get(buffer) {
            Some(found) => {
                let index = index.clone() + found.base.clone();
                self.integer(&index, lane)
            }
            None => Fault::invalid(format!("there is no buffer {buffer}")),
        }
    }

    /// Reads an element; where the guard fails, one that exists.
    fn load_element(&mut self, buffer: usize, index: Value, guard: Option<Value>) -> Emit<(DType, Value)> {
        let Some(found) = self.buffers.get(buffer) else { return Fault::invalid(format!("there is no buffer {buffer}")) };
        let (pointers, dtype, element) = (found.pointers.clone(), found.dtype, found.element);
        let zero = self.builder.int(0);
        let index = guard.map_or(index, |guard| self.builder.select(guard, index, zero));
        let value = match element {
            Element::Whole => self.load_from(&pointers, index, dtype.size())?,
            Element::Quads => self.load_of_quads(&pointers, index)?,
            Element::Half => {
                let half = self.load_from(&pointers, index, dtype.size())?;
                self.builder.convert(half, ScalarKind::Float, Some(4))
            }
            Element::Bits => {
                let packed = self.packed_element(dtype, index);
                let word = self.load_from(&pointers, packed.word, size_of::<u32>())?;
                self.bits_of_word(dtype, word, packed.shift)?
            }
        };
        Ok((dtype, value))
    }

    /// Reads an element of `bytes` bytes: reads from each piece and selects the value of the piece that holds the element.
    fn load_from(&mut self, pieces: &[Value], index: Value, bytes: usize) -> Emit<Value> {
        let Some((first, rest)) = pieces.split_first() else { return Fault::invalid("a buffer without pieces") };
        let elements = PIECE_BYTES as i64 / bytes as i64;
        let last = self.constant_integer(elements - 1)?;
        let within = if rest.is_empty() { index } else { self.builder.math(MathFunction::Min, &[index, last]) };
        let mut value = self.load_at(*first, within);
        for (number, piece) in (1..).zip(rest) {
            let (start, zero) = (self.constant_integer(number * elements)?, self.builder.int(0));
            let distance = self.builder.binary(BinaryOperator::Subtract, index, start);
            let mut within = self.builder.math(MathFunction::Max, &[distance, zero]);
            if number < rest.len() as i64 {
                within = self.builder.math(MathFunction::Min, &[within, last]);
            }
            let candidate = self.load_at(*piece, within);
            let here = self.builder.binary(BinaryOperator::GreaterEqual, index, start);
            value = self.builder.select(here, candidate, value);
        }
        Ok(value)
    }

    /// Reads an element of one of the vectors.
    fn load_of_quads(&mut self, pieces: &[Value], index: Value) -> Emit<Value> {
        let [base] = pieces else { return Fault::invalid("vectors in pieces") };
        let pointer = self.within_quads(*base, index);
        Ok(self.builder.load(pointer))
    }

    fn within_quads(&mut self, base: Value, index: Value) -> Value {
        let (shift, last) = (self.builder.uint(QUAD.trailing_zeros()), self.builder.int(QUAD as i32 - 1));
        let vector = self.builder.binary(BinaryOperator::ShiftRight, index, shift);
        let component = self.builder.binary(BinaryOperator::And, index, last);
        let base = self.builder.value(Expression::Access { base, index: vector });
        self.builder.value(Expression::Access { base, index: component })
    }

    fn load_at(&mut self, base: Value, index: Value) -> Value {
        let pointer = self.builder.value(Expression::Access { base, index });
        self.builder.load(pointer)
    }

    fn packed_element(&mut self, dtype: DType, index: Value) -> PackedElement {
        let (per_word, bits) = (4 / dtype.size() as i32, 8 * dtype.size() as u32);
        let (distance, last) = (self.builder.uint(per_word.trailing_zeros()), self.builder.int(per_word - 1));
        let word = self.builder.binary(BinaryOperator::ShiftRight, index, distance);
        let within = self.builder.binary(BinaryOperator::And, index, last);
        let within = self.builder.convert(within, ScalarKind::Uint, Some(4));
        let bits = self.builder.uint(bits);
        PackedElement { word, shift: self.builder.binary(BinaryOperator::Multiply, within, bits) }
    }

    /// The element that begins at a bit of a word.
    fn bits_of_word(&mut self, dtype: DType, word: Value, shift: Value) -> Emit<Value> {
        let shifted = self.builder.binary(BinaryOperator::ShiftRight, word, shift);
        let mask = self.builder.uint(mask(dtype));
        let bits = self.builder.binary(BinaryOperator::And, shifted, mask);
        self.unpacked(dtype, bits)
    }

    /// A value of less than a word from its bits, the others being 0.
    pub(crate) fn unpacked(&mut self, dtype: DType, bits: Value) -> Emit<Value> {
        match dtype {
            DType::F16 => self.builder.call("float_of_half", &[bits]),
            DType::BF16 => self.builder.call("float_of_bfloat", &[bits]),
            DType::Bool => {
                let zero = self.builder.uint(0);
                Ok(self.builder.binary(BinaryOperator::NotEqual, bits, zero))
            }
            DType::I8 | DType::I16 => {
                let signed = self.builder.convert(bits, ScalarKind::Sint, Some(4));
                Ok(self.wrapped(dtype, signed))
            }
            _ => Ok(bits),
        }
    }

    /// The bits of a value of less than a word, the others being 0.
    pub(crate) fn packed(&mut self, dtype: DType, value: Value) -> Emit<Value> {
        match dtype {
            DType::F16 => self.builder.call("half_of_float", &[value]),
            DType::BF16 => self.builder.call("bfloat_of_float", &[value]),
            DType::U8 | DType::U16 => Ok(value),
            _ => {
                let unsigned = self.builder.convert(value, ScalarKind::Uint, Some(4));
                let mask = self.builder.uint(mask(dtype));
                Ok(self.builder.binary(BinaryOperator::And, unsigned, mask))
            }
        }
    }

    pub(crate) fn store(&mut self, place: &Place, operand: &Operand) -> Emit<()> {
        let value = self.operand(operand)?;
        match place {
            place if self.store_quads(place, &value)? => Ok(()),
            Place::Buffer(buffer, index) => self.store_buffer(*buffer, index, &value),
            Place::Local(local, index) => self.store_local(*local, index, &value),
            Place::Row(..) => Fault::invalid("a store to a row"),
        }
    }

    /// The lanes whose stores differ; one stands for all that store the same value to the same element.
    fn storing_lanes(&self, index: &Dim, value: &Typed) -> Emit<usize> {
        match self.varies(index) {
            true => Ok(self.lane_count()),
            false if value.lanes.len() == 1 => Ok(1),
            false => Fault::invalid("lanes with different values are stored to one element"),
        }
    }

    /// Whether a lane stores; where one stands for all, whether any does.
    fn stores(&mut self, lane: usize, lanes: usize) -> Option<Value> {
        let mask = self.lanes.as_ref()?.mask.clone()?;
        if lanes > 1 || mask.len() == 1 {
            return mask.get(lane).copied();
        }
        mask.into_iter().reduce(|any, lane| self.builder.binary(BinaryOperator::InclusiveOr, any, lane))
    }

    fn store_buffer(&mut self, id: BufferId, index: &Dim, value: &Typed) -> Emit<()> {
        let buffer = id.0 as usize;
        match self.buffers.get(buffer) {
            Some(found) if found.dtype == value.dtype && found.writable => {}
            _ => return Fault::invalid(format!("a {} cannot be stored to buffer {buffer}", value.dtype)),
        }
        let lanes = self.storing_lanes(index, value)?;
        for lane in 0..lanes {
            let element = self.element(buffer, index, lane)?;
            let stored = lane_of(value, lane)?;
            match self.stores(lane, lanes) {
                None => self.store_element(buffer, element, stored)?,
                Some(condition) => self.run_if(condition, |this| this.store_element(buffer, element, stored))?,
            }
        }
        Ok(())
    }

    fn store_element(&mut self, buffer: usize, index: Value, value: Value) -> Emit<()> {
        let found = self.buffers.get(buffer).and_then(|buffer| Some((*buffer.pointers.first()?, buffer.dtype, buffer.element)));
        let Some((base, dtype, element)) = found else { return Ok(()) };
        let whole = match element {
            Element::Whole => value,
            Element::Half => self.builder.convert(value, ScalarKind::Float, Some(2)),
            Element::Bits => return self.store_bits(base, dtype, index, value),
            Element::Quads => return Fault::invalid("an element is stored into a vector"),
        };
        let pointer = self.builder.value(Expression::Access { base, index });
        self.builder.store(pointer, whole);
        Ok(())
    }

    fn store_bits(&mut self, base: Value, dtype: DType, index: Value, value: Value) -> Emit<()> {
        let bits = self.packed(dtype, value)?;
        let packed = self.packed_element(dtype, index);
        let pointer = self.builder.value(Expression::Access { base, index: packed.word });
        let mask = self.builder.uint(mask(dtype));
        let own = self.builder.binary(BinaryOperator::ShiftLeft, mask, packed.shift);
        let others = self.builder.unary(UnaryOperator::BitwiseNot, own);
        let bits = self.builder.binary(BinaryOperator::ShiftLeft, bits, packed.shift);
        // Other invocations change other bits of the word meanwhile; these two change only ours.
        self.atomic(AtomicFunction::And, pointer, others);
        self.atomic(AtomicFunction::InclusiveOr, pointer, bits);
        Ok(())
    }

    fn atomic(&mut self, fun: AtomicFunction, pointer: Value, value: Value) {
        let ty = self.builder.scalar_type(Scalar::U32);
        let result = Some(self.builder.constant(Expression::AtomicResult { ty, comparison: false }));
        self.builder.push(Statement::Atomic { pointer, fun, value, result });
    }

    /// The variable of a local's element.
    fn local_pointer(&mut self, id: LocalId, index: &Dim, lane: usize) -> Emit<(DType, Value)> {
        let index = self.in_lane(index, lane);
        let Some(local) = self.locals.get(id.0 as usize) else { return Fault::invalid(format!("there is no local {}", id.0)) };
        let (dtype, len) = (local.dtype, local.len);
        let position = index.as_constant().map(|at| u32::try_from(at).ok().filter(|at| *at < len));
        let outside = || Fault::Invalid(format!("a local of {len} elements is addressed at {index}"));
        match (&local.variables, position) {
            (_, Some(None)) => Err(outside()),
            (Variables::Elements(variables), Some(Some(at))) => {
                variables.get(at as usize).map(|variable| (dtype, *variable)).ok_or_else(outside)
            }
            (Variables::Elements(_), None) => Err(outside()),
            (Variables::Array(base), Some(Some(index))) => {
                let base = *base;
                Ok((dtype, self.builder.value(Expression::AccessIndex { base, index })))
            }
            (Variables::Quads(base), _) => {
                let base = *base;
                let index = self.integer(&index, lane)?;
                Ok((dtype, self.within_quads(base, index)))
            }
            (Variables::Array(base), None) => {
                let base = *base;
                let index = self.integer(&index, lane)?;
                Ok((dtype, self.builder.value(Expression::Access { base, index })))
            }
        }
    }

    /// The element of a shared local at a number.
    pub(crate) fn shared_pointer(&mut self, id: LocalId, index: Value) -> Emit<Value> {
        match self.locals.get(id.0 as usize).map(|local| &local.variables) {
            Some(Variables::Array(base)) => {
                let base = *base;
                Ok(self.builder.value(Expression::Access { base, index }))
            }
            _ => Fault::invalid(format!("local {} is not shared", id.0)),
        }
    }

    fn load_local(&mut self, id: LocalId, index: &Dim, lane: usize) -> Emit<(DType, Value)> {
        let (dtype, pointer) = self.local_pointer(id, index, lane)?;
        Ok((dtype, self.builder.load(pointer)))
    }

    /// Lanes that do not run keep what the local held.
    fn store_local(&mut self, id: LocalId, index: &Dim, value: &Typed) -> Emit<()> {
        let lanes = self.storing_lanes(index, value)?;
        for lane in 0..lanes {
            let (dtype, pointer) = self.local_pointer(id, index, lane)?;
            if dtype != value.dtype {
                return Fault::invalid(format!("a {} is stored to a local of type {dtype}", value.dtype));
            }
            let mut stored = lane_of(value, lane)?;
            if let Some(condition) = self.stores(lane, lanes) {
                let before = self.builder.load(pointer);
                stored = self.builder.select(condition, stored, before);
            }
            self.builder.store(pointer, stored);
        }
        Ok(())
    }
}

/// The bits of an element at the low end of a word.
fn mask(dtype: DType) -> u32 {
    if dtype.size() == 1 { 0xff } else { 0xffff }
}

/// The value of one lane.
pub(crate) fn lane_of(value: &Typed, lane: usize) -> Emit<Value> {
    let found = value.lanes.get(lane).or(value.lanes.first().filter(|_| value.lanes.len() == 1));
    found.copied().ok_or_else(|| Fault::Invalid(format!("a value has no lane {lane}")))
}
