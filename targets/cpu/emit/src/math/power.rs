//! Powers.

use super::exponential::exp;
use super::logarithm::log;
use super::{Floats, negate};
use crate::fault::Emit;
use crate::ir::{Ir, V};
use inkwell::values::InstructionOpcode;
use inkwell::{FloatPredicate, IntPredicate};

/// `x^y` as C defines it. An `f32` power is computed in `f64`, so that the product of exponent and logarithm loses nothing.
pub(crate) fn pow<'c>(ir: &Ir<'_, 'c>, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
    if Floats::like(ir, x).is_double() {
        return power(ir, x, y);
    }
    let double = ir.float_type(64).into();
    let (wide_x, wide_y) = (ir.cast(InstructionOpcode::FPExt, x, double)?, ir.cast(InstructionOpcode::FPExt, y, double)?);
    ir.cast(InstructionOpcode::FPTrunc, power(ir, wide_x, wide_y)?, ir.float_type(32).into())
}

fn power<'c>(ir: &Ir<'_, 'c>, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let (zero, one, nan) = (floats.c(0.0), floats.c(1.0), floats.c(f64::NAN));
    let base = floats.abs(x)?;
    let magnitude = exp(ir, ir.fmul(y, log(ir, base)?)?)?;
    let base_is_one = floats.is(FloatPredicate::OEQ, base, one)?;
    let has_exponent = floats.is(FloatPredicate::ORD, y, y)?;
    let magnitude = ir.select(ir.and(base_is_one, has_exponent)?, one, magnitude)?;
    let (is_integer, is_odd) = integrality(&floats, y)?;
    let is_negative = ir.icmp(IntPredicate::SLT, floats.bits(x)?, floats.int(0))?;
    let flips = ir.and(is_negative, is_odd)?;
    let result = ir.select(flips, negate(ir, magnitude)?, magnitude)?;
    let below_zero = floats.is(FloatPredicate::OLT, x, zero)?;
    let is_finite = floats.is(FloatPredicate::ONE, base, floats.c(f64::INFINITY))?;
    let is_root = ir.and(ir.and(below_zero, is_finite)?, ir.not(is_integer)?)?;
    let result = ir.select(is_root, nan, result)?;
    let is_zeroth = floats.is(FloatPredicate::OEQ, y, zero)?;
    let is_power_of_one = floats.is(FloatPredicate::OEQ, x, one)?;
    ir.select(ir.or(is_zeroth, is_power_of_one)?, one, result)
}

/// Whether a float is an integer, infinities included, and whether it is an odd one. Magnitudes from 2^53 on are even.
fn integrality<'c>(floats: &Floats<'_, '_, 'c>, y: V<'c>) -> Emit<(V<'c>, V<'c>)> {
    let ir = floats.ir;
    let magic = floats.c(2f64.powi(52));
    let magnitude = floats.abs(y)?;
    let shifted = ir.fadd(magnitude, magic)?;
    let rounded = ir.fsub(shifted, magic)?;
    let is_large = floats.is(FloatPredicate::OGE, magnitude, magic)?;
    let is_whole = floats.is(FloatPredicate::OEQ, rounded, magnitude)?;
    let below_limit = floats.is(FloatPredicate::OLT, magnitude, floats.c(2f64.powi(53)))?;
    let last_bit = ir.and(floats.bits(ir.select(is_large, magnitude, shifted)?)?, floats.int(1))?;
    let is_odd = ir.and(ir.icmp(IntPredicate::NE, last_bit, floats.int(0))?, ir.and(is_whole, below_limit)?)?;
    let is_infinite = floats.is(FloatPredicate::OEQ, magnitude, floats.c(f64::INFINITY))?;
    Ok((ir.or(ir.or(is_whole, is_large)?, is_infinite)?, is_odd))
}
