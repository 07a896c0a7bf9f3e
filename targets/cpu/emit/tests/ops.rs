//! Scalar operations and conversions of every type, on ordinary and special values.

mod common;

use common::elementwise::*;
use common::*;
use half::{bf16, f16};
use lostwax_ir::kernel::*;
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

fn unary(op: UnaryOp) -> Scalar {
    Scalar::Unary(op, value(0))
}

fn cast(to: DType) -> Scalar {
    Scalar::Cast(to, value(0))
}

fn largest(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) }
}

fn smallest(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { a.min(b) }
}

/// Python's remainder; the plain formula is inexact where it cancels, so it starts from C's.
fn modulo(a: f32, b: f32) -> f32 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

#[test]
fn float_operations_of_one_operand() {
    let inputs = interesting();
    check_unary(&unary(UnaryOp::Neg), &inputs, |x: f32| -x, same_f32);
    check_unary(&unary(UnaryOp::Abs), &inputs, f32::abs, same_f32);
    check_unary(&unary(UnaryOp::Floor), &inputs, f32::floor, same_f32);
    check_unary(&unary(UnaryOp::Ceil), &inputs, f32::ceil, same_f32);
    check_unary(&unary(UnaryOp::Round), &inputs, f32::round_ties_even, same_f32);
    check_unary(&unary(UnaryOp::Sqrt), &inputs, f32::sqrt, same_f32);
    check_unary(&unary(UnaryOp::Recip), &inputs, f32::recip, same_f32);
}

#[test]
fn float_operations_of_two_operands() {
    let inputs = interesting();
    check_binary(BinaryOp::Add, &inputs, |a: f32, b| a + b, same_f32);
    check_binary(BinaryOp::Sub, &inputs, |a: f32, b| a - b, same_f32);
    check_binary(BinaryOp::Mul, &inputs, |a: f32, b| a * b, same_f32);
    check_binary(BinaryOp::Div, &inputs, |a: f32, b| a / b, same_f32);
    check_binary(BinaryOp::Max, &inputs, largest, same_f32);
    check_binary(BinaryOp::Min, &inputs, smallest, same_f32);
    check_binary(BinaryOp::Rem, &inputs, |a: f32, b| a % b, same_f32);
    check_binary(BinaryOp::Mod, &inputs, modulo, same_f32);
    check_binary(BinaryOp::Eq, &inputs, |a: f32, b| a == b, exactly);
    check_binary(BinaryOp::Lt, &inputs, |a: f32, b| a < b, exactly);
    check_binary(BinaryOp::Le, &inputs, |a: f32, b| a <= b, exactly);
}

#[test]
fn double_remainders_are_exact() {
    let inputs = [0.0, -0.0, 1.5, -7.25, 1e300, 5e-324, 3.0, f64::INFINITY, f64::NAN, 0.1, -1e17];
    check_binary(BinaryOp::Rem, &inputs, |a: f64, b| a % b, same_f64);
}

#[test]
fn maximum_with_a_constant_keeps_nan() {
    let zero = Operand::float(DType::F32, 0.0);
    for scalar in [Scalar::Binary(BinaryOp::Max, value(0), zero.clone()), Scalar::Binary(BinaryOp::Max, zero, value(0))] {
        check_unary(&scalar, &interesting(), |x: f32| largest(x, 0.0), same_f32);
    }
}

macro_rules! integer_operations {
    ($($name:ident: $type:ty, [$($input:expr),*];)*) => { $(
        #[test]
        fn $name() {
            let inputs: Vec<$type> = vec![$($input),*];
            let zero: $type = 0;
            check_binary(BinaryOp::Add, &inputs, |a: $type, b| a.wrapping_add(b), exactly);
            check_binary(BinaryOp::Sub, &inputs, |a: $type, b| a.wrapping_sub(b), exactly);
            check_binary(BinaryOp::Mul, &inputs, |a: $type, b| a.wrapping_mul(b), exactly);
            check_binary(BinaryOp::Div, &inputs, |a: $type, b| if b == zero { zero } else { a.wrapping_div(b) }, exactly);
            check_binary(BinaryOp::Rem, &inputs, |a: $type, b| if b == zero { zero } else { a.wrapping_rem(b) }, exactly);
            check_binary(BinaryOp::Mod, &inputs, |a: $type, b| {
                let rest = if b == zero { zero } else { a.wrapping_rem(b) };
                if rest != zero && (rest < zero) != (b < zero) { rest.wrapping_add(b) } else { rest }
            }, exactly);
            check_binary(BinaryOp::Min, &inputs, |a: $type, b| a.min(b), exactly);
            check_binary(BinaryOp::Max, &inputs, |a: $type, b| a.max(b), exactly);
            check_binary(BinaryOp::And, &inputs, |a: $type, b| a & b, exactly);
            check_binary(BinaryOp::Or, &inputs, |a: $type, b| a | b, exactly);
            check_binary(BinaryOp::Xor, &inputs, |a: $type, b| a ^ b, exactly);
            check_binary(BinaryOp::Eq, &inputs, |a: $type, b| a == b, exactly);
            check_binary(BinaryOp::Lt, &inputs, |a: $type, b| a < b, exactly);
            check_binary(BinaryOp::Le, &inputs, |a: $type, b| a <= b, exactly);
            check_unary(&unary(UnaryOp::Neg), &inputs, |a: $type| zero.wrapping_sub(a), exactly);
            check_unary(&Scalar::ShiftLeft(value(0), 3), &inputs, |a: $type| a << 3, exactly);
            check_unary(&Scalar::ShiftRight(value(0), 3), &inputs, |a: $type| a >> 3, exactly);
            check_unary(&cast(DType::F32), &inputs, |a: $type| a as f32, same_f32);
            check_unary(&cast(DType::F64), &inputs, |a: $type| a as f64, same_f64);
            check_unary(&cast(DType::I8), &inputs, |a: $type| a as i8, exactly);
            check_unary(&cast(DType::U16), &inputs, |a: $type| a as u16, exactly);
            check_unary(&cast(DType::I64), &inputs, |a: $type| a as i64, exactly);
            check_unary(&cast(DType::Bool), &inputs, |a: $type| a != zero, exactly);
        }
    )* };
}

integer_operations! {
    i8_operations: i8, [0, 1, -1, 7, -128, 127, 100];
    i16_operations: i16, [0, 1, -1, 7, i16::MIN, i16::MAX, -100];
    i32_operations: i32, [0, 1, -1, 7, i32::MIN, i32::MAX, -100_000, 16_777_217];
    i64_operations: i64, [0, 1, -1, 7, i64::MIN, i64::MAX, -100, 1 << 40];
    u8_operations: u8, [0, 1, 7, 255, 128];
    u16_operations: u16, [0, 1, 7, u16::MAX, 1 << 15];
    u32_operations: u32, [0, 1, 7, u32::MAX, 1 << 31];
    u64_operations: u64, [0, 1, 7, u64::MAX, 1 << 63];
}

#[test]
fn casts_from_floats_saturate() {
    let inputs = interesting();
    check_unary(&cast(DType::I8), &inputs, |x: f32| x as i8, exactly);
    check_unary(&cast(DType::I16), &inputs, |x: f32| x as i16, exactly);
    check_unary(&cast(DType::I32), &inputs, |x: f32| x as i32, exactly);
    check_unary(&cast(DType::I64), &inputs, |x: f32| x as i64, exactly);
    check_unary(&cast(DType::U8), &inputs, |x: f32| x as u8, exactly);
    check_unary(&cast(DType::U16), &inputs, |x: f32| x as u16, exactly);
    check_unary(&cast(DType::U32), &inputs, |x: f32| x as u32, exactly);
    check_unary(&cast(DType::U64), &inputs, |x: f32| x as u64, exactly);
    check_unary(&cast(DType::F64), &inputs, |x: f32| f64::from(x), same_f64);
    check_unary(&cast(DType::Bool), &inputs, |x: f32| x != 0.0, exactly);
    let doubles: Vec<f64> = inputs.iter().map(|x| f64::from(*x) * 1.1).collect();
    check_unary(&cast(DType::F32), &doubles, |x: f64| x as f32, same_f32);
    check_unary(&cast(DType::I64), &doubles, |x: f64| x as i64, exactly);
    check_unary(&cast(DType::U32), &doubles, |x: f64| x as u32, exactly);
}

#[test]
fn half_precision_conversions_are_exact() {
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    check_unary(&cast(DType::F32), &halves, f16::to_f32, same_f32);
    let brains: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    check_unary(&cast(DType::F32), &brains, bf16::to_f32, same_f32);
    let singles: Vec<f32> = (0..200_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b1))).chain(interesting()).collect();
    check_unary(&cast(DType::F16), &singles, f16::from_f32, |a: &f16, b| a == b || a.is_nan() && b.is_nan());
    check_unary(&cast(DType::BF16), &singles, bf16::from_f32, |a: &bf16, b| a == b || a.is_nan() && b.is_nan());
}

#[test]
fn half_precision_arithmetic_rounds_once() {
    let halves: Vec<f16> = interesting().into_iter().map(f16::from_f32).collect();
    let same = |a: &f16, b: &f16| a == b || a.is_nan() && b.is_nan();
    check_binary(BinaryOp::Add, &halves, |a: f16, b| f16::from_f32(a.to_f32() + b.to_f32()), same);
    check_binary(BinaryOp::Mul, &halves, |a: f16, b| f16::from_f32(a.to_f32() * b.to_f32()), same);
    let brains: Vec<bf16> = interesting().into_iter().map(bf16::from_f32).collect();
    let same = |a: &bf16, b: &bf16| a == b || a.is_nan() && b.is_nan();
    check_binary(BinaryOp::Div, &brains, |a: bf16, b| bf16::from_f32(a.to_f32() / b.to_f32()), same);
    check_binary(BinaryOp::Lt, &brains, |a: bf16, b| a.to_f32() < b.to_f32(), exactly);
}

#[test]
fn bool_operations() {
    let both = [false, true];
    check_binary(BinaryOp::And, &both, |a: bool, b| a && b, exactly);
    check_binary(BinaryOp::Or, &both, |a: bool, b| a || b, exactly);
    check_binary(BinaryOp::Xor, &both, |a: bool, b| a != b, exactly);
    check_binary(BinaryOp::Eq, &both, |a: bool, b| a == b, exactly);
    check_unary(&unary(UnaryOp::Not), &both, |a: bool| !a, exactly);
    check_unary(&cast(DType::F32), &both, |a: bool| f32::from(u8::from(a)), same_f32);
    check_unary(&cast(DType::I64), &both, i64::from, exactly);
}

#[test]
fn bits_and_choices() {
    check_unary(&Scalar::Bitcast(DType::U32, value(0)), &interesting(), f32::to_bits, exactly);
    let limits = [Operand::float(DType::F32, 1.0), Operand::float(DType::F32, 2.0)];
    let select = Scalar::Select(value(0), limits[0].clone(), limits[1].clone());
    check_unary(&select, &[true, false, true], |a: bool| if a { 1.0f32 } else { 2.0 }, same_f32);
    let mul_add = Scalar::MulAdd(value(0), limits[1].clone(), limits[0].clone());
    check_unary(&mul_add, &[0.5f32, -3.0, 1e30], |x: f32| x * 2.0 + 1.0, same_f32);
    let integers = Scalar::MulAdd(value(0), Operand::Int(DType::I32, 3), Operand::Int(DType::I32, -1));
    check_unary(&integers, &[5i32, -7, i32::MAX], |x: i32| x.wrapping_mul(3).wrapping_sub(1), exactly);
}

#[test]
fn products_of_bytes() {
    let dot4 = |x: u32, y: u32, total: i32| {
        let products = x.to_le_bytes().into_iter().zip(y.to_le_bytes()).map(|(x, y)| i32::from(x) * i32::from(y as i8));
        total.wrapping_add(products.sum::<i32>())
    };
    let words = [0u32, 0xffff_ffff, 0x8080_8080, 0x7f7f_7f7f, 0x0180_ff7f, 0x1234_5678, 0xfedc_ba98];
    for (other, total) in words.into_iter().zip([0, 1, -1, i32::MAX, i32::MIN, 70_000, -3]) {
        let (fixed, start) = (Operand::Int(DType::U32, other.into()), Operand::Int(DType::I32, total.into()));
        let unsigned = Scalar::Dot4(value(0), fixed.clone(), start.clone());
        check_unary(&unsigned, &words, |x: u32| dot4(x, other, total), exactly);
        check_unary(&Scalar::Dot4(fixed, value(0), start), &words, |x: u32| dot4(other, x, total), exactly);
    }
}
