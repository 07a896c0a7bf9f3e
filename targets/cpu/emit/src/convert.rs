//! Conversions between element types.

use crate::emitter::{Emitter, Typed};
use crate::fault::{Emit, Fault};
use crate::ir::{Ir, V, lanes_of, widen_type};
use crate::machine::{FROM_HALF, TO_HALF};
use crate::ops::int_to_float;
use inkwell::values::InstructionOpcode;
use inkwell::{FloatPredicate, IntPredicate};
use lostwax_ir::number::int_range;
use lostwax_ir::types::DType;

impl<'c> Emitter<'_, 'c, '_> {
    /// `a` as another type: floats round, and saturate towards integers; integers wrap; bools come from what is not 0.
    pub(crate) fn convert(&self, dtype: DType, a: Typed<'c>) -> Emit<Typed<'c>> {
        if dtype == a.dtype {
            return Ok(a);
        }
        let value = match (a.dtype, dtype) {
            (DType::Block(_), _) | (_, DType::Block(_)) => return Fault::invalid("a conversion of quantized blocks"),
            (DType::F16 | DType::BF16, _) => {
                let single = Typed { dtype: DType::F32, value: self.half_to_single(a)? };
                return self.convert(dtype, single);
            }
            (DType::F32, DType::F16) => self.single_to_f16(a.value)?,
            (DType::F32, DType::BF16) => single_to_bf16(&self.ir, a.value)?,
            (_, DType::F16 | DType::BF16) => {
                let single = self.convert(DType::F32, a)?;
                return self.convert(dtype, single);
            }
            (DType::F32, DType::F64) => self.ir.cast(InstructionOpcode::FPExt, a.value, self.ir.float_type(64).into())?,
            (DType::F64, DType::F32) => self.ir.cast(InstructionOpcode::FPTrunc, a.value, self.ir.float_type(32).into())?,
            (DType::F32 | DType::F64, _) => self.float_to_int(dtype, a.value)?,
            (_, DType::F32 | DType::F64) => {
                self.ir.cast(int_to_float(a.dtype.is_signed_integer()), a.value, self.register_type(dtype)?)?
            }
            (_, DType::Bool) => self.ir.icmp(IntPredicate::NE, a.value, a.value.get_type().const_zero())?,
            _ => self.resize(dtype, a)?,
        };
        Ok(Typed { dtype, value })
    }

    fn resize(&self, dtype: DType, a: Typed<'c>) -> Emit<V<'c>> {
        let from_bits = if a.dtype == DType::Bool { 1 } else { a.dtype.size() * 8 };
        let opcode = match (dtype.size() * 8).cmp(&from_bits) {
            std::cmp::Ordering::Equal => return Ok(a.value),
            std::cmp::Ordering::Less => InstructionOpcode::Trunc,
            std::cmp::Ordering::Greater if a.dtype.is_signed_integer() => InstructionOpcode::SExt,
            std::cmp::Ordering::Greater => InstructionOpcode::ZExt,
        };
        self.ir.cast(opcode, a.value, self.register_type(dtype)?)
    }

    fn float_to_int(&self, dtype: DType, value: V<'c>) -> Emit<V<'c>> {
        if dtype == DType::Bool {
            return self.ir.fcmp(FloatPredicate::UNE, value, value.get_type().const_zero());
        }
        if dtype.size() <= 2 {
            return self.float_to_short(dtype, value);
        }
        let of = widen_type(self.register_type(dtype)?, lanes_of(value));
        let name = if dtype.is_signed_integer() { "llvm.fptosi.sat" } else { "llvm.fptoui.sat" };
        self.ir.intrinsic(name, &[of, value.get_type()], &[value])
    }

    /// Limits are floats, so that clamping comes first; the saturating intrinsics go lane by lane for short integers.
    fn float_to_short(&self, dtype: DType, value: V<'c>) -> Emit<V<'c>> {
        let (low, high) = int_range(dtype);
        let (low, high) = (self.ir.float_of(value.get_type(), low as f64), self.ir.float_of(value.get_type(), high as f64));
        let is_number = self.ir.fcmp(FloatPredicate::ORD, value, value)?;
        let above = self.ir.select(self.ir.fcmp(FloatPredicate::OGT, value, low)?, value, low)?;
        let within = self.ir.select(self.ir.fcmp(FloatPredicate::OLT, above, high)?, above, high)?;
        let whole = self.ir.cast(InstructionOpcode::FPToSI, within, self.ir.int_type(32).into())?;
        let whole = self.ir.select(is_number, whole, whole.get_type().const_zero())?;
        self.ir.cast(InstructionOpcode::Trunc, whole, self.register_type(dtype)?)
    }

    fn half_to_single(&self, a: Typed<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        if a.dtype == DType::F16 && self.machine.has(FROM_HALF) {
            let half = ir.bitcast(a.value, ir.float_type(16).into())?;
            return ir.cast(InstructionOpcode::FPExt, half, ir.float_type(32).into());
        }
        let wide = ir.cast(InstructionOpcode::ZExt, a.value, ir.int_type(32).into())?;
        if a.dtype == DType::F16 {
            return f16_bits_to_single(ir, wide);
        }
        let bits = ir.shl(wide, ir.int_of(wide.get_type(), 16))?;
        ir.bitcast(bits, ir.float_type(32).into())
    }

    fn single_to_f16(&self, value: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        if self.machine.has(TO_HALF) {
            let half = ir.cast(InstructionOpcode::FPTrunc, value, ir.float_type(16).into())?;
            return ir.bitcast(half, ir.int_type(16).into());
        }
        single_to_f16_bits(ir, value)
    }
}

/// Moves exponent and mantissa into place and scales by a power of two, which also makes subnormals right.
fn f16_bits_to_single<'c>(ir: &Ir<'_, 'c>, half: V<'c>) -> Emit<V<'c>> {
    let int = |value: i64| ir.int_of(half.get_type(), value);
    let magnitude = ir.and(half, int(0x7fff))?;
    let sign = ir.shl(ir.and(half, int(0x8000))?, int(16))?;
    let shifted = ir.bitcast(ir.shl(magnitude, int(13))?, ir.float_type(32).into())?;
    let scale = ir.float_of(shifted.get_type(), f64::from(f32::from_bits(0x7780_0000)));
    let scaled = ir.bitcast(ir.fmul(shifted, scale)?, ir.int_type(32).into())?;
    let special = ir.or(ir.shl(magnitude, int(13))?, int(0x7f80_0000))?;
    let is_special = ir.icmp(IntPredicate::UGE, magnitude, int(0x7c00))?;
    let bits = ir.or(ir.select(is_special, special, scaled)?, sign)?;
    ir.bitcast(bits, ir.float_type(32).into())
}

/// Rounds to the nearest half, ties to even: normal numbers by integer arithmetic, subnormals by adding a magic number.
fn single_to_f16_bits<'c>(ir: &Ir<'_, 'c>, value: V<'c>) -> Emit<V<'c>> {
    let bits = ir.bitcast(value, ir.int_type(32).into())?;
    let int = |value: i64| ir.int_of(bits.get_type(), value);
    let magnitude = ir.and(bits, int(0x7fff_ffff))?;
    let sign = ir.lshr(ir.and(bits, int(0x8000_0000))?, int(16))?;
    let odd = ir.and(ir.lshr(magnitude, int(13))?, int(1))?;
    let rounded = ir.add(ir.add(magnitude, int(-(112 << 23) + 0xfff))?, odd)?;
    let normal = ir.binary("llvm.umin", ir.lshr(rounded, int(13))?, int(0x7c00))?;
    let small = ir.bitcast(magnitude, ir.float_type(32).into())?;
    let sum = ir.fadd(small, ir.float_of(small.get_type(), 0.5))?;
    let subnormal = ir.sub(ir.bitcast(sum, ir.int_type(32).into())?, int(0x3f00_0000))?;
    let is_small = ir.icmp(IntPredicate::ULT, magnitude, int(113 << 23))?;
    let finite = ir.select(is_small, subnormal, normal)?;
    let payload = ir.or(ir.lshr(ir.and(magnitude, int(0x007f_ffff))?, int(13))?, int(0x7e00))?;
    let is_nan = ir.icmp(IntPredicate::UGT, magnitude, int(0x7f80_0000))?;
    let result = ir.or(ir.select(is_nan, payload, finite)?, sign)?;
    ir.cast(InstructionOpcode::Trunc, result, ir.int_type(16).into())
}

fn single_to_bf16<'c>(ir: &Ir<'_, 'c>, value: V<'c>) -> Emit<V<'c>> {
    let bits = ir.bitcast(value, ir.int_type(32).into())?;
    let int = |value: i64| ir.int_of(bits.get_type(), value);
    let odd = ir.and(ir.lshr(bits, int(16))?, int(1))?;
    let rounded = ir.add(ir.add(bits, int(0x7fff))?, odd)?;
    let is_nan = ir.fcmp(FloatPredicate::UNO, value, value)?;
    let result = ir.select(is_nan, ir.or(bits, int(0x0040_0000))?, rounded)?;
    ir.cast(InstructionOpcode::Trunc, ir.lshr(result, int(16))?, ir.int_type(16).into())
}
