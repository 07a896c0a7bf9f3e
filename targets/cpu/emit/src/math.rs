//! Elementary functions.

use crate::fault::{Emit, Fault};
use crate::ir::{Ir, V};
use crate::machine::Machine;

macro_rules! later { ($($name:ident($($arg:ident),*))*) => { $(pub(crate) fn $name<'c>(_: &Ir<'_, 'c>, $($arg: V<'c>),*) -> Emit<V<'c>> { $(let _ = $arg;)* Fault::invalid(stringify!($name)) })* }; }
later! { exp(x) log(x) tanh(x) erf(x) sin(x) cos(x) sigmoid(x) pow(x, y) remainder(x, y) modulo(x, y) }

pub(crate) fn negate<'c>(ir: &Ir<'_, 'c>, x: V<'c>) -> Emit<V<'c>> {
    match x {
        V::VectorValue(x) => Ok(ir.builder.build_float_neg(x, "")?.into()),
        x => Ok(ir.builder.build_float_neg(x.into_float_value(), "")?.into()),
    }
}

pub(crate) fn floor<'c>(ir: &Ir<'_, 'c>, _machine: &Machine, x: V<'c>) -> Emit<V<'c>> {
    ir.unary("llvm.floor", x)
}

pub(crate) fn ceil<'c>(ir: &Ir<'_, 'c>, _machine: &Machine, x: V<'c>) -> Emit<V<'c>> {
    ir.unary("llvm.ceil", x)
}

pub(crate) fn round<'c>(ir: &Ir<'_, 'c>, _machine: &Machine, x: V<'c>) -> Emit<V<'c>> {
    ir.unary("llvm.roundeven", x)
}
