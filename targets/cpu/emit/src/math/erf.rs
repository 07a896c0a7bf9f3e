//! The error function.

use super::exponential::exp;
use super::{Floats, negate};
use crate::fault::Emit;
use crate::ir::{Ir, V};
use inkwell::FloatPredicate;

/// `erf(x) / x` as a polynomial in `x^2` for `|x| <= 1`: fitted for the smallest relative error, 1.2e-9.
const SMALL: &[f64] = &[
    std::f64::consts::FRAC_2_SQRT_PI,
    -0.37612625821,
    0.11283585112,
    -0.026853810397,
    0.0051883247642,
    -0.00080101679667,
    7.8537766571e-5,
];

/// `-ln(1 - erf(x))` for `1 <= x <= 3.95`: fitted for the smallest error of `erf`, 1.0e-9.
const LARGE: &[f64] =
    &[0.00035349096779, 1.1270409876, 0.63822405529, 0.10303881594, -0.02180603061, 0.0029397905108, -0.00018559323491];

/// As [`SMALL`], to 7.3e-18.
const SMALL_DOUBLE: &[f64] = &[
    std::f64::consts::FRAC_2_SQRT_PI,
    -0.3761263890318352,
    0.11283791670944184,
    -0.026866170643111205,
    0.005223977606116405,
    -0.0008548325929219127,
    0.00012055293574155188,
    -1.4924712251188202e-5,
    1.644713096632924e-6,
    -1.6206309283362304e-7,
    1.3710961676598685e-8,
    -7.779434647501755e-10,
];

/// `(1 - erf(x)) * e^(x^2)` as a polynomial in `(x - 2.5) / (x + 2.5)` for `1 <= x <= 6`, to 6.5e-15.
const LARGE_DOUBLE: &[f64] = &[
    0.21080636406114325,
    -0.371736733948771,
    0.2517131932176219,
    -0.125033052411232,
    0.03992253905772205,
    -0.003993699682756776,
    -0.0026423652023256534,
    0.0008758863261473832,
    0.0002283645709115687,
    -0.00012859862790950478,
    -3.4015169397137585e-5,
    1.733114243059643e-5,
    6.685817142343621e-6,
];

/// `erf(x)`.
pub(crate) fn erf<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let magnitude = floats.abs(x)?;
    let coefficients = if floats.is_double() { SMALL_DOUBLE } else { SMALL };
    let small = ir.fmul(floats.polynomial(ir.fmul(x, x)?, coefficients)?, x)?;
    let rest = if floats.is_double() { complement_double(&floats, magnitude)? } else { complement(&floats, magnitude)? };
    let large = floats.copy_sign(ir.fsub(floats.c(1.0), rest)?, x)?;
    let is_small = floats.is(FloatPredicate::OLT, magnitude, floats.c(1.0))?;
    ir.select(is_small, small, large)
}

fn complement<'c>(floats: &Floats<'_, '_, 'c>, magnitude: V<'c>) -> Emit<V<'c>> {
    let bounded = floats.ir.extremum("llvm.minimum", magnitude, floats.c(3.95))?;
    exp(floats.ir, negate(floats.ir, floats.polynomial(bounded, LARGE)?)?)
}

fn complement_double<'c>(floats: &Floats<'_, '_, 'c>, magnitude: V<'c>) -> Emit<V<'c>> {
    let ir = floats.ir;
    let bounded = ir.extremum("llvm.minimum", magnitude, floats.c(6.0))?;
    let ratio = ir.fdiv(ir.fsub(bounded, floats.c(2.5))?, ir.fadd(bounded, floats.c(2.5))?)?;
    let decay = exp(ir, negate(ir, ir.fmul(bounded, bounded)?)?)?;
    ir.fmul(floats.polynomial(ratio, LARGE_DOUBLE)?, decay)
}
