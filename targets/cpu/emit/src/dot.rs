//! Sums of four products of bytes.

use crate::fault::Emit;
use crate::ir::{Ir, V, lanes_of, widen_type};
use crate::machine::Machine;

/// In each lane the four unsigned bytes of the first times the four signed bytes of the second, added to the third.
pub(crate) fn dot4<'c>(ir: &Ir<'_, 'c>, machine: &Machine, operands: [V<'c>; 3]) -> Emit<V<'c>> {
    let Some(lanes) = operands.into_iter().find_map(lanes_of) else { return expanded(ir, operands) };
    let fitting = machine.dot_products.iter().find(|(width, _)| lanes.is_multiple_of(*width));
    let Some((width, name)) = fitting else { return expanded(ir, operands) };
    let mut parts = Vec::new();
    for first in (0..lanes).step_by(*width as usize) {
        let mut part = Vec::new();
        for operand in operands {
            part.push(ir.lanes(ir.splat(operand, lanes)?, first, *width)?);
        }
        let [a, b, c] = [part[0], part[1], part[2]];
        parts.push(ir.intrinsic_of_bits(name, &[c, a, b])?);
    }
    ir.concatenated(&parts)
}

/// The same by products of single bytes, two to a register of 16 bits.
fn expanded<'c>(ir: &Ir<'_, 'c>, [a, b, total]: [V<'c>; 3]) -> Emit<V<'c>> {
    let (a, b) = ir.align(a, b)?;
    let (a, total) = ir.align(a, total)?;
    let (b, total) = ir.align(b, total)?;
    let of = a.get_type();
    let int = widen_type(ir.int_type(32).into(), lanes_of(a));
    let mut total = total;
    for byte in 0..4 {
        let unsigned = ir.and(ir.lshr(a, ir.int_of(of, 8 * byte))?, ir.int_of(of, 0xff))?;
        let signed = ir.ashr(ir.shl(b, ir.int_of(int, 24 - 8 * byte))?, ir.int_of(int, 24))?;
        total = ir.add(total, ir.mul(unsigned, signed)?)?;
    }
    Ok(total)
}
