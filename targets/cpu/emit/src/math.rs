//! Elementary functions as instructions: range reduction, a polynomial, reconstruction. No calls, no tables, no branches but
//! in remainders; the same code for scalars and vectors.
//!
//! Largest errors in units in the last place of an `f32` result, measured against `f64` in `tests/math.rs`: `exp` 2, `log` 2,
//! `tanh` 4, `sigmoid` 4, `erf` 6, `sin` and `cos` 2 up to magnitudes of 10^5, `pow` 1. Without a fused multiply-add the bounds
//! are the same. `f64` results are right to a relative 10^-12; sine and cosine to an absolute 10^-12 up to magnitudes of 10^5.

mod erf;
mod exponential;
mod hyperbolic;
mod logarithm;
mod power;
mod remainder;
mod trigonometric;

pub(crate) use erf::erf;
pub(crate) use exponential::exp;
pub(crate) use hyperbolic::{sigmoid, tanh};
pub(crate) use logarithm::log;
pub(crate) use power::pow;
pub(crate) use remainder::{modulo, remainder};
pub(crate) use trigonometric::{cos, sin};

use crate::fault::Emit;
use crate::ir::{Ir, V};
use crate::machine::Machine;
use inkwell::FloatPredicate;
use inkwell::types::BasicTypeEnum;
use lostwax_device_cpu::format::Arch;

/// Formulas on floats of one type.
pub(crate) struct Floats<'a, 'm, 'c> {
    pub(crate) ir: &'a Ir<'m, 'c>,
    of: BasicTypeEnum<'c>,
}

impl<'a, 'm, 'c> Floats<'a, 'm, 'c> {
    /// Formulas on values like `x`.
    pub(crate) fn like(ir: &'a Ir<'m, 'c>, x: V<'c>) -> Self {
        Self { ir, of: x.get_type() }
    }

    pub(crate) fn is_double(&self) -> bool {
        self.ir.float_bits(self.of) == 64
    }

    /// The bits of a float after the binary point.
    pub(crate) fn mantissa_bits(&self) -> i64 {
        if self.is_double() { 52 } else { 23 }
    }

    /// The exponent field of 1.
    pub(crate) fn bias(&self) -> i64 {
        if self.is_double() { 1023 } else { 127 }
    }

    /// A constant.
    pub(crate) fn c(&self, value: f64) -> V<'c> {
        self.ir.float_of(self.of, value)
    }

    /// An integer constant as wide as the floats.
    pub(crate) fn int(&self, value: i64) -> V<'c> {
        self.ir.int_of(self.ir.bits_type(self.of), value)
    }

    pub(crate) fn bits(&self, x: V<'c>) -> Emit<V<'c>> {
        self.ir.bitcast(x, crate::ir::element_type(self.ir.bits_type(self.of)))
    }

    pub(crate) fn of_bits(&self, bits: V<'c>) -> Emit<V<'c>> {
        self.ir.bitcast(bits, crate::ir::element_type(self.of))
    }

    /// `a * b + c`.
    pub(crate) fn fma(&self, a: V<'c>, b: V<'c>, c: V<'c>) -> Emit<V<'c>> {
        self.ir.mul_add(a, b, c)
    }

    /// The polynomial with these coefficients, constant term first.
    pub(crate) fn polynomial(&self, x: V<'c>, coefficients: &[f64]) -> Emit<V<'c>> {
        let mut terms = coefficients.iter().rev().map(|coefficient| self.c(*coefficient));
        let highest = terms.next().unwrap_or_else(|| self.c(0.0));
        terms.try_fold(highest, |sum, coefficient| self.fma(sum, x, coefficient))
    }

    pub(crate) fn abs(&self, x: V<'c>) -> Emit<V<'c>> {
        self.ir.unary("llvm.fabs", x)
    }

    /// `magnitude` with the sign of `sign`.
    pub(crate) fn copy_sign(&self, magnitude: V<'c>, sign: V<'c>) -> Emit<V<'c>> {
        self.ir.binary("llvm.copysign", magnitude, sign)
    }

    /// NaN stays NaN.
    pub(crate) fn clamp(&self, x: V<'c>, low: f64, high: f64) -> Emit<V<'c>> {
        let x = self.ir.extremum("llvm.minimum", x, self.c(high))?;
        self.ir.extremum("llvm.maximum", x, self.c(low))
    }

    pub(crate) fn is(&self, predicate: FloatPredicate, a: V<'c>, b: V<'c>) -> Emit<V<'c>> {
        self.ir.fcmp(predicate, a, b)
    }

    /// 2 to the power of an integer in the range of normal numbers.
    pub(crate) fn power_of_two(&self, exponent: V<'c>) -> Emit<V<'c>> {
        let field = self.ir.add(exponent, self.int(self.bias()))?;
        self.of_bits(self.ir.shl(field, self.int(self.mantissa_bits()))?)
    }

    /// The nearest integer as a float and as an integer, for magnitudes below 2 to the power of 21.
    pub(crate) fn nearest(&self, x: V<'c>, factor: f64) -> Emit<(V<'c>, V<'c>)> {
        let magic = 1.5 * 2f64.powi(self.mantissa_bits() as i32);
        let shifted = self.fma(x, self.c(factor), self.c(magic))?;
        let whole = self.ir.fsub(shifted, self.c(magic))?;
        let integer = self.ir.sub(self.bits(shifted)?, self.bits(self.c(magic))?)?;
        Ok((whole, integer))
    }
}

/// `1 / n!` for `n` in a range.
fn inverse_factorials(range: std::ops::Range<u32>) -> Vec<f64> {
    range.map(|n| 1.0 / (1..=n).map(f64::from).product::<f64>()).collect()
}

pub(crate) fn negate<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    match x {
        V::VectorValue(x) => Ok(ir.builder.build_float_neg(x, "")?.into()),
        V::FloatValue(x) => Ok(ir.builder.build_float_neg(x, "")?.into()),
        _ => crate::fault::Fault::invalid("the negation of something other than a float"),
    }
}

pub(crate) fn floor<'c>(ir: &Ir<'_, 'c>, machine: &Machine, x: V<'c>) -> Emit<V<'c>> {
    if rounds(machine) {
        return ir.unary("llvm.floor", x);
    }
    let floats = Floats::like(ir, x);
    let nearest = round(ir, machine, x)?;
    let above = floats.is(FloatPredicate::OGT, nearest, x)?;
    let lower = ir.fsub(nearest, floats.c(1.0))?;
    floats.copy_sign(ir.select(above, lower, nearest)?, x)
}

pub(crate) fn ceil<'c>(ir: &Ir<'_, 'c>, machine: &Machine, x: V<'c>) -> Emit<V<'c>> {
    if rounds(machine) {
        return ir.unary("llvm.ceil", x);
    }
    negate(ir, floor(ir, machine, negate(ir, x)?)?)
}

/// Adding a number whose last place is 1 rounds to an integer; larger magnitudes are integers already.
pub(crate) fn round<'c>(ir: &Ir<'_, 'c>, machine: &Machine, x: V<'c>) -> Emit<V<'c>> {
    if rounds(machine) {
        return ir.unary("llvm.roundeven", x);
    }
    let floats = Floats::like(ir, x);
    let magic = floats.c(2f64.powi(floats.mantissa_bits() as i32));
    let magnitude = floats.abs(x)?;
    let rounded = ir.fsub(ir.fadd(magnitude, magic)?, magic)?;
    let small = floats.is(FloatPredicate::OLT, magnitude, magic)?;
    ir.select(small, floats.copy_sign(rounded, x)?, x)
}

/// Whether rounding to an integer is an instruction.
fn rounds(machine: &Machine) -> bool {
    machine.arch != Arch::Riscv64
}
