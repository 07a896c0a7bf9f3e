//! The natural logarithm.

use super::Floats;
use super::exponential::log_of_two;
use crate::fault::Emit;
use crate::ir::{Ir, V};
use inkwell::FloatPredicate;
use inkwell::values::InstructionOpcode;

/// `ln(x)`; negative infinity of zero, NaN of negative numbers.
pub(crate) fn log<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let (exponent, fraction) = split(&floats, x)?;
    let result = combine(&floats, exponent, fraction)?;
    let infinity = floats.c(f64::INFINITY);
    let is_infinite = floats.is(FloatPredicate::OEQ, x, infinity)?;
    let is_zero = floats.is(FloatPredicate::OEQ, x, floats.c(0.0))?;
    let is_invalid = floats.is(FloatPredicate::ULT, x, floats.c(0.0))?;
    let result = ir.select(is_infinite, infinity, result)?;
    let result = ir.select(is_zero, floats.c(f64::NEG_INFINITY), result)?;
    ir.select(is_invalid, floats.c(f64::NAN), result)
}

/// `x` as `2^exponent * (1 + fraction)` with `1 + fraction` between the square roots of 1/2 and 2.
fn split<'c>(floats: &Floats<'_, '_, 'c>, x: V<'c>) -> Emit<(V<'c>, V<'c>)> {
    let ir = floats.ir;
    let (mantissa_bits, bias) = (floats.mantissa_bits(), floats.bias());
    let smallest_normal = floats.c(2f64.powi(1 - bias as i32));
    let is_tiny = floats.is(FloatPredicate::OLT, x, smallest_normal)?;
    let scaled = ir.fmul(x, floats.c(2f64.powi(mantissa_bits as i32)))?;
    let bits = floats.bits(ir.select(is_tiny, scaled, x)?)?;
    let root = floats.bits(floats.c(std::f64::consts::FRAC_1_SQRT_2))?;
    let from_root = ir.sub(bits, root)?;
    let exponent = ir.ashr(from_root, floats.int(mantissa_bits))?;
    let exponent = ir.sub(exponent, ir.select(is_tiny, floats.int(mantissa_bits), floats.int(0))?)?;
    let mantissa = ir.add(ir.and(from_root, floats.int((1 << mantissa_bits) - 1))?, root)?;
    let fraction = ir.fsub(floats.of_bits(mantissa)?, floats.c(1.0))?;
    let exponent = ir.cast(InstructionOpcode::SIToFP, exponent, crate::ir::element_type(x.get_type()))?;
    Ok((exponent, fraction))
}

/// With `s = f / (2 + f)`, `ln(1 + f)` is `2 * atanh(s)`, arranged so that the leading term `f` is exact.
fn combine<'c>(floats: &Floats<'_, '_, 'c>, exponent: V<'c>, f: V<'c>) -> Emit<V<'c>> {
    let ir = floats.ir;
    let (high, low) = log_of_two(floats);
    let s = ir.fdiv(f, ir.fadd(f, floats.c(2.0))?)?;
    let z = ir.fmul(s, s)?;
    let terms = if floats.is_double() { 10 } else { 4 };
    let series: Vec<f64> = (1..=terms).map(|n| 2.0 / f64::from(2 * n + 1)).collect();
    let rest = ir.fmul(floats.polynomial(z, &series)?, z)?;
    let half_square = ir.fmul(ir.fmul(f, f)?, floats.c(0.5))?;
    let inner = ir.fmul(s, ir.fadd(half_square, rest)?)?;
    let inner = floats.fma(exponent, floats.c(low), inner)?;
    let small = ir.fsub(f, ir.fsub(half_square, inner)?)?;
    floats.fma(exponent, floats.c(high), small)
}
