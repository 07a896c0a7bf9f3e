//! Sine and cosine.

use super::{Floats, negate};
use crate::fault::Emit;
use crate::ir::{Ir, V};
use inkwell::IntPredicate;
use inkwell::values::InstructionOpcode;

/// Half of pi as a sum whose first two parts have 33 bits each, so that their products with small integers are exact.
const HALF_PI: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];

/// `sin(x)`.
pub(crate) fn sin<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    wave(ir, x, 0)
}

/// `cos(x)`.
pub(crate) fn cos<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    wave(ir, x, 1)
}

/// The sine of `x` plus a number of quarter turns. The distance to the nearest multiple of a quarter turn is taken in `f64`.
/// For arguments so large that it is lost, the result still lies between -1 and 1.
fn wave<'c>(ir: &Ir<'_, 'c>, x: V<'c>, quarters: i64) -> Emit<V<'c>> {
    let own = Floats::like(ir, x);
    let wide = if own.is_double() { x } else { ir.cast(InstructionOpcode::FPExt, x, ir.float_type(64).into())? };
    let floats = Floats::like(ir, wide);
    let (turns, count) = floats.nearest(wide, std::f64::consts::FRAC_2_PI)?;
    let rest = HALF_PI.iter().try_fold(wide, |rest, part| floats.fma(turns, floats.c(-part), rest))?;
    let rest = floats.clamp(rest, -0.8, 0.8)?;
    let quadrant = ir.add(count, floats.int(quarters))?;
    if own.is_double() {
        return in_quadrant(&own, rest, quadrant);
    }
    let rest = ir.cast(InstructionOpcode::FPTrunc, rest, ir.float_type(32).into())?;
    let quadrant = ir.cast(InstructionOpcode::Trunc, quadrant, ir.int_type(32).into())?;
    in_quadrant(&own, rest, quadrant)
}

/// The sine of `r` plus that many quarter turns, for `|r| <= pi / 4`.
fn in_quadrant<'c>(floats: &Floats<'_, '_, 'c>, r: V<'c>, quadrant: V<'c>) -> Emit<V<'c>> {
    let ir = floats.ir;
    let terms = if floats.is_double() { 9 } else { 5 };
    let square = ir.fmul(r, r)?;
    let sine = floats.polynomial(square, &alternating(3, terms - 1))?;
    let sine = floats.fma(ir.fmul(square, r)?, sine, r)?;
    let cosine = floats.polynomial(square, &alternating(2, terms))?;
    let cosine = floats.fma(square, cosine, floats.c(1.0))?;
    let is_odd = ir.icmp(IntPredicate::NE, ir.and(quadrant, floats.int(1))?, floats.int(0))?;
    let is_lower = ir.icmp(IntPredicate::NE, ir.and(quadrant, floats.int(2))?, floats.int(0))?;
    let value = ir.select(is_odd, cosine, sine)?;
    ir.select(is_lower, negate(ir, value)?, value)
}

/// `-1/n!, 1/(n+2)!, -1/(n+4)!, ...`
fn alternating(first: u32, terms: u32) -> Vec<f64> {
    let inverse = |n: u32| 1.0 / (1..=n).map(f64::from).product::<f64>();
    (0..terms).map(|term| if term % 2 == 0 { -inverse(first + 2 * term) } else { inverse(first + 2 * term) }).collect()
}
