//! The exponential function.

use super::{Floats, inverse_factorials};
use crate::fault::Emit;
use crate::ir::{Ir, V};

/// `(e^r - 1 - r) / r^2` for `|r| <= ln(2) / 2`, for `f32`: fitted to minimize the largest error of `e^r`, 3.1e-9.
const QUOTIENT: &[f64] = &[0.5000000095, 0.16666518848, 0.041666206655, 0.0083688869195, 0.0013950430153];

/// `x` as `n * ln(2) + r` with an integer `n` and `|r| <= ln(2) / 2`.
pub(super) struct Reduced<'c> {
    pub(super) n: V<'c>,
    /// `e^r - 1`.
    pub(super) growth: V<'c>,
}

/// `e^x`.
pub(crate) fn exp<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let (low, high) = if floats.is_double() { (-746.0, 710.0) } else { (-105.0, 89.0) };
    let Reduced { n, growth } = reduce(&floats, floats.clamp(x, low, high)?)?;
    let base = ir.fadd(growth, floats.c(1.0))?;
    let half = ir.ashr(n, floats.int(1))?;
    let partial = ir.fmul(base, floats.power_of_two(half)?)?;
    ir.fmul(partial, floats.power_of_two(ir.sub(n, half)?)?)
}

/// Splits off the powers of two.
pub(super) fn reduce<'c>(floats: &Floats<'_, '_, 'c>, x: V<'c>) -> Emit<Reduced<'c>> {
    let (whole, n) = floats.nearest(x, std::f64::consts::LOG2_E)?;
    let (high, low) = log_of_two(floats);
    let r = floats.fma(whole, floats.c(-high), x)?;
    let r = floats.fma(whole, floats.c(-low), r)?;
    let quotient = match floats.is_double() {
        true => floats.polynomial(r, &inverse_factorials(2..14))?,
        false => floats.polynomial(r, QUOTIENT)?,
    };
    let growth = floats.fma(floats.ir.fmul(r, r)?, quotient, r)?;
    Ok(Reduced { n, growth })
}

/// The natural logarithm of 2 as a sum. The first part has few bits, so that its product with an exponent is exact.
pub(super) fn log_of_two(floats: &Floats<'_, '_, '_>) -> (f64, f64) {
    if floats.is_double() {
        (f64::from_bits(0x3fe6_2e42_fee0_0000), 1.908_214_929_270_587_7e-10)
    } else {
        (355.0 / 512.0, std::f64::consts::LN_2 - 355.0 / 512.0)
    }
}
