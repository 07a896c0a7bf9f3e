//! Sums of four products of bytes.

use crate::fault::Emit;
use crate::ir::{Ir, V, lanes_of, widen_type};
use crate::machine::{Machine, PAIRS};
use lostwax_target_api::Operation;

/// What LLVM calls the instructions for sums of products, by operation and lanes.
const INTRINSICS: &[(Operation, u32, &str)] = &[
    (Operation::DOT4, 16, "llvm.x86.avx512.vpdpbusd.512"),
    (Operation::DOT4, 8, "llvm.x86.avx512.vpdpbusd.256"),
    (Operation::DOT4, 4, "llvm.x86.avx512.vpdpbusd.128"),
    (PAIRS, 8, "llvm.x86.avx2.pmadd.wd"),
    (PAIRS, 4, "llvm.x86.sse2.pmadd.wd"),
];

/// In each lane the four unsigned bytes of the first times the four signed bytes of the second, added to the third.
pub(crate) fn dot4<'c>(ir: &Ir<'_, 'c>, machine: &Machine, operands: [V<'c>; 3]) -> Emit<V<'c>> {
    let [a, b, total] = ir.align_all(operands)?;
    if let Some((width, name)) = fitting(machine, (Operation::DOT4, 4), total) {
        return by_parts(ir, width, [total, a, b], |parts| ir.intrinsic_of_bits(name, &parts));
    }
    match fitting(machine, (PAIRS, 2), total) {
        Some(pairs) => by_pairs(ir, pairs, [a, b, total]),
        None => by_bytes(ir, [a, b, total]),
    }
}

/// The instruction of the most lanes that divide those of a value, and what LLVM calls it.
fn fitting(machine: &Machine, (operation, depth): (Operation, u32), value: V<'_>) -> Option<(u32, &'static str)> {
    let lanes = lanes_of(value)?;
    let instruction = machine.instructions_for(operation, depth).find(|found| lanes.is_multiple_of(found.columns))?;
    let intrinsic = INTRINSICS.iter().find(|(known, width, _)| (*known, *width) == (operation, instruction.columns));
    intrinsic.map(|(_, width, name)| (*width, *name))
}

/// Applies `make` to `width` lanes at a time.
fn by_parts<'c, const N: usize>(
    ir: &Ir<'_, 'c>,
    width: u32,
    operands: [V<'c>; N],
    make: impl Fn([V<'c>; N]) -> Emit<V<'c>>,
) -> Emit<V<'c>> {
    let lanes = operands.first().copied().and_then(lanes_of).unwrap_or(width);
    let mut parts = Vec::new();
    for first in (0..lanes).step_by(width as usize) {
        let mut taken = operands;
        for operand in &mut taken {
            *operand = ir.lanes(*operand, first, width)?;
        }
        parts.push(make(taken)?);
    }
    ir.concatenated(&parts)
}

/// Bytes with even and odd places as integers of 16 bits, whose products are summed two by two.
fn by_pairs<'c>(ir: &Ir<'_, 'c>, (width, name): (u32, &str), [a, b, total]: [V<'c>; 3]) -> Emit<V<'c>> {
    let shorts = widen_type(ir.int_type(16).into(), lanes_of(total).map(|lanes| 2 * lanes));
    let eight = ir.int_of(shorts, 8);
    let (a, b) = (ir.as_type(a, shorts)?, ir.as_type(b, shorts)?);
    let even = [ir.and(a, ir.int_of(shorts, 0xff))?, ir.ashr(ir.shl(b, eight)?, eight)?];
    let odd = [ir.lshr(a, eight)?, ir.ashr(b, eight)?];
    let mut sum = total;
    for pair in [even, odd] {
        let words = [ir.as_type(pair[0], total.get_type())?, ir.as_type(pair[1], total.get_type())?];
        sum = ir.add(sum, by_parts(ir, width, words, |parts| ir.intrinsic_of_bits(name, &parts))?)?;
    }
    Ok(sum)
}

/// Products of single bytes.
fn by_bytes<'c>(ir: &Ir<'_, 'c>, [a, b, mut total]: [V<'c>; 3]) -> Emit<V<'c>> {
    let of = total.get_type();
    let int = |value: i64| ir.int_of(of, value);
    for byte in 0..4 {
        let unsigned = ir.and(ir.lshr(a, int(8 * byte))?, int(0xff))?;
        let signed = ir.ashr(ir.shl(b, int(24 - 8 * byte))?, int(24))?;
        total = ir.add(total, ir.mul(unsigned, signed)?)?;
    }
    Ok(total)
}
