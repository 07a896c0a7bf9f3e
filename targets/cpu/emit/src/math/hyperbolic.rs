//! The hyperbolic tangent and the logistic function.

use super::exponential::{Reduced, exp, reduce};
use super::{Floats, negate};
use crate::fault::Emit;
use crate::ir::{Ir, V};
use inkwell::FloatPredicate;

/// `tanh(x)` as `m / (m + 2)` with `m = e^2|x| - 1`.
pub(crate) fn tanh<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let limit = if floats.is_double() { 40.0 } else { 20.0 };
    let twice = ir.fmul(floats.abs(x)?, floats.c(2.0))?;
    let Reduced { n, growth } = reduce(&floats, ir.extremum("llvm.minimum", twice, floats.c(limit))?)?;
    let scale = floats.power_of_two(n)?;
    let m = floats.fma(growth, scale, ir.fsub(scale, floats.c(1.0))?)?;
    let magnitude = ir.fdiv(m, ir.fadd(m, floats.c(2.0))?)?;
    floats.copy_sign(magnitude, x)
}

/// `1 / (1 + e^-x)`, through `e^-|x|`, which cannot overflow.
pub(crate) fn sigmoid<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let decay = exp(ir, negate(ir, floats.abs(x)?)?)?;
    let is_negative = floats.is(FloatPredicate::OLT, x, floats.c(0.0))?;
    let numerator = ir.select(is_negative, decay, floats.c(1.0))?;
    ir.fdiv(numerator, ir.fadd(decay, floats.c(1.0))?)
}
