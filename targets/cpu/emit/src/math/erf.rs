//! The error function.

use super::exponential::exp;
use super::{Floats, negate};
use crate::fault::Emit;
use crate::ir::{Ir, V};
use inkwell::FloatPredicate;

/// `erf(x) / x` as a polynomial in `x^2` for `|x| <= 1`: fitted for the smallest relative error, 1.2e-9.
const SMALL: &[f64] =
    &[1.1283791657, -0.37612625821, 0.11283585112, -0.026853810397, 0.0051883247642, -0.00080101679667, 7.8537766571e-5];

/// `-ln(1 - erf(x))` for `1 <= x <= 3.95`: fitted for the smallest error of `erf`, 1.0e-9.
const LARGE: &[f64] = &[
    0.00035349096779,
    1.1270409876,
    0.63822405529,
    0.10303881594,
    -0.02180603061,
    0.0029397905108,
    -0.00018559323491,
];

/// As [`SMALL`], to 7.3e-18.
const SMALL_DOUBLE: &[f64] = &[
    1.128379167095512566,
    -0.376126389031835195,
    0.1128379167094418301,
    -0.02686617064311120488,
    0.005223977606116405143,
    -0.0008548325929219126867,
    0.0001205529357415518808,
    -0.000014924712251188203,
    1.644713096632923953e-6,
    -1.620630928336230522e-7,
    1.371096167659868607e-8,
    -7.779434647501754639e-10,
];

/// `(1 - erf(x)) * e^(x^2)` as a polynomial in `(x - 2.5) / (x + 2.5)` for `1 <= x <= 6`, to 6.5e-15.
const LARGE_DOUBLE: &[f64] = &[
    0.210806364061143247,
    -0.3717367339487710188,
    0.2517131932176219183,
    -0.1250330524112320106,
    0.0399225390577220524,
    -0.003993699682756776191,
    -0.002642365202325653508,
    0.0008758863261473831239,
    0.0002283645709115687026,
    -0.0001285986279095047833,
    -0.00003401516939713758262,
    0.00001733114243059643307,
    6.685817142343620786e-6,
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
