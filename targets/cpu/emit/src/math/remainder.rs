//! Remainders of floats, exact for all magnitudes.

use super::Floats;
use crate::fault::{Emit, Fault};
use crate::ir::{Ir, V, as_int};
use inkwell::FloatPredicate;

/// The remainder of `x / y` with the sign of `x`.
pub(crate) fn remainder<'c>(ir: &Ir<'_, 'c>, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let infinity = floats.c(f64::INFINITY);
    let (dividend, divisor) = (floats.abs(x)?, floats.abs(y)?);
    let is_finite = floats.is(FloatPredicate::OLT, dividend, infinity)?;
    let is_valid = ir.and(is_finite, floats.is(FloatPredicate::OGT, divisor, floats.c(0.0))?)?;
    let divides = ir.and(is_valid, floats.is(FloatPredicate::OLT, divisor, infinity)?)?;
    let rest = reduce(&floats, ir.select(divides, dividend, floats.c(0.0))?, ir.select(divides, divisor, floats.c(1.0))?)?;
    let rest = floats.copy_sign(ir.select(divides, rest, dividend)?, x)?;
    ir.select(is_valid, rest, floats.c(f64::NAN))
}

/// The remainder of `x / y` with the sign of `y`.
pub(crate) fn modulo<'c>(ir: &Ir<'_, 'c>, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
    let floats = Floats::like(ir, x);
    let zero = floats.c(0.0);
    let rest = remainder(ir, x, y)?;
    let is_zero = floats.is(FloatPredicate::OEQ, rest, zero)?;
    let rest_below = floats.is(FloatPredicate::OLT, rest, zero)?;
    let differs = ir.xor(rest_below, floats.is(FloatPredicate::OLT, y, zero)?)?;
    let moved = ir.select(differs, ir.fadd(rest, y)?, rest)?;
    ir.select(is_zero, floats.copy_sign(zero, y)?, moved)
}

/// Schoolbook division of positive numbers: doubles the divisor until it is as large as the dividend, then halves it back and
/// subtracts it where it fits. Every step is exact.
fn reduce<'c>(floats: &Floats<'_, '_, 'c>, dividend: V<'c>, divisor: V<'c>) -> Emit<V<'c>> {
    let ir = floats.ir;
    let [largest, _] = repeat(ir, [divisor, dividend], |[step, rest]| {
        let goes_on = floats.is(FloatPredicate::OLE, step, ir.fmul(rest, floats.c(0.5))?)?;
        Ok((goes_on, [ir.select(goes_on, ir.fadd(step, step)?, step)?, rest]))
    })?;
    let [_, rest] = repeat(ir, [largest, dividend], |[step, rest]| {
        let goes_on = floats.is(FloatPredicate::OGE, step, divisor)?;
        let fits = ir.and(goes_on, floats.is(FloatPredicate::OGE, rest, step)?)?;
        let rest = ir.select(fits, ir.fsub(rest, step)?, rest)?;
        Ok((goes_on, [ir.select(goes_on, ir.fmul(step, floats.c(0.5))?, step)?, rest]))
    })?;
    Ok(rest)
}

/// Runs `step` on two values until it says for no lane that it goes on.
fn repeat<'c>(
    ir: &Ir<'_, 'c>,
    start: [V<'c>; 2],
    step: impl FnOnce([V<'c>; 2]) -> Emit<(V<'c>, [V<'c>; 2])>,
) -> Emit<[V<'c>; 2]> {
    let outside = || Fault::Generator("a loop outside of a function".into());
    let before = ir.builder.get_insert_block().ok_or_else(outside)?;
    let function = before.get_parent().ok_or_else(outside)?;
    let (body, after) = (ir.context.append_basic_block(function, ""), ir.context.append_basic_block(function, ""));
    ir.builder.build_unconditional_branch(body)?;
    ir.builder.position_at_end(body);
    let phis = [ir.builder.build_phi(start[0].get_type(), "")?, ir.builder.build_phi(start[1].get_type(), "")?];
    let (goes_on, next) = step(phis.map(|phi| phi.as_basic_value()))?;
    for ((phi, start), next) in phis.iter().zip(&start).zip(&next) {
        phi.add_incoming(&[(start, before), (next, body)]);
    }
    let any = match goes_on {
        V::VectorValue(_) => ir.intrinsic("llvm.vector.reduce.or", &[goes_on.get_type()], &[goes_on])?,
        bit => bit,
    };
    ir.builder.build_conditional_branch(as_int(any)?, body, after)?;
    ir.builder.position_at_end(after);
    Ok(next)
}
