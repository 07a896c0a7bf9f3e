//! The errors of the elementary functions, measured against `f64`.

mod common;

use common::elementwise::{apply, interesting};
use common::{from_bytes, to_bytes, value};
use lostwax_ir::kernel::Scalar;
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

/// The distance of two floats in units of the last place of the exact value.
fn ulps(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if got.is_nan() || exact.is_nan() {
        return if got.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got == rounded {
        return 0.0;
    }
    if got.is_infinite() || rounded.is_infinite() {
        return if f64::from(got) > 3.4028e38 && exact > 3.4028e38 { 1.0 } else { f64::INFINITY };
    }
    let exponent = (f64::from(rounded.abs().max(f32::MIN_POSITIVE))).log2().floor();
    (f64::from(got) - exact).abs() / (exponent - 23.0).exp2()
}

fn check(op: UnaryOp, inputs: &[f32], exact: impl Fn(f64) -> f64, limit: f64) {
    let scalar = Scalar::Unary(op, value(0));
    for (variant, bytes) in apply(&[DType::F32], DType::F32, &scalar, &[to_bytes(inputs)]) {
        let results: Vec<f32> = from_bytes(&bytes);
        let error = |(x, y): (&f32, &f32)| (ulps(*y, exact(f64::from(*x))), *x, *y);
        let worst = inputs.iter().zip(&results).map(error).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        println!("{op:?} {variant}: {:.2} ulp at {:e}", worst.0, worst.1);
        assert!(
            worst.0 <= limit,
            "{op:?} {variant}: {} ulp at {:e}, {:e} for {:e}",
            worst.0,
            worst.1,
            worst.2,
            exact(worst.1.into())
        );
    }
}

/// Evenly spaced values, values of all magnitudes up to `high`, and special ones.
fn samples(low: f32, high: f32) -> Vec<f32> {
    let count = 40_000;
    let mut values: Vec<f32> = (0..=count).map(|i| low + (high - low) * i as f32 / count as f32).collect();
    values.extend((0..count).map(|i| high * (-60.0 * i as f32 / count as f32).exp()));
    values.extend((0..count).map(|i| low * (-60.0 * i as f32 / count as f32).exp()));
    values.extend(interesting());
    values
}

/// The error function by its power series, or by a continued fraction of its complement.
fn erf(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    let t = x.abs().min(7.0);
    if t < 2.5 {
        let (mut term, mut sum) = (t, t);
        for n in 1..100 {
            term *= -t * t / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return (sum * std::f64::consts::FRAC_2_SQRT_PI).copysign(x);
    }
    let fraction = (1..200).rev().fold(t, |rest, n| t + f64::from(n) / 2.0 / rest);
    (1.0 - (-t * t).exp() / fraction / std::f64::consts::PI.sqrt()).copysign(x)
}

#[test]
fn exp_is_within_2_ulp() {
    check(UnaryOp::Exp, &samples(-110.0, 90.0), f64::exp, 2.0);
}

#[test]
fn log_is_within_2_ulp() {
    check(UnaryOp::Log, &samples(1e-38, 10.0), f64::ln, 2.0);
    check(UnaryOp::Log, &samples(0.0, 3e38), f64::ln, 2.0);
}

#[test]
fn tanh_is_within_4_ulp() {
    check(UnaryOp::Tanh, &samples(-12.0, 12.0), f64::tanh, 4.0);
}

#[test]
fn sigmoid_is_within_4_ulp() {
    let sigmoid = |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    check(UnaryOp::Sigmoid, &samples(-110.0, 110.0), sigmoid, 4.0);
}

#[test]
fn erf_is_within_6_ulp() {
    check(UnaryOp::Erf, &samples(-5.0, 5.0), erf, 6.0);
}

#[test]
fn sine_and_cosine_are_within_2_ulp() {
    let inputs = samples(-100.0, 100.0).into_iter().chain(samples(-1e5, 1e5));
    let inputs: Vec<f32> = inputs.filter(|x| x.abs() <= 1e5 || !x.is_finite()).collect();
    let of_finite = |f: fn(f64) -> f64| move |x: f64| if x.is_finite() { f(x) } else { f64::NAN };
    check(UnaryOp::Sin, &inputs, of_finite(f64::sin), 2.0);
    check(UnaryOp::Cos, &inputs, of_finite(f64::cos), 2.0);
}

#[test]
fn sine_of_huge_numbers_is_bounded() {
    let inputs = [1e10f32, -1e20, f32::MAX, f32::MIN];
    for (variant, bytes) in apply(&[DType::F32], DType::F32, &Scalar::Unary(UnaryOp::Sin, value(0)), &[to_bytes(&inputs)]) {
        assert!(from_bytes::<f32>(&bytes).iter().all(|y| y.abs() <= 1.0), "{variant}");
    }
}

#[test]
fn sqrt_and_recip_are_rounded_correctly() {
    check(UnaryOp::Sqrt, &samples(0.0, 1e10), f64::sqrt, 0.5);
    check(UnaryOp::Recip, &samples(-10.0, 10.0), f64::recip, 0.5);
}

#[test]
fn pow_is_within_1_ulp() {
    let mut bases = interesting();
    bases.extend((1..200).map(|i| i as f32 * 0.037));
    let mut exponents = vec![2.0f32, 0.5, 3.0, -1.0, -0.5, 0.0, 1.0, 1.0 / 3.0, 10.0, 2.2, -7.0, 0.45];
    exponents.extend(interesting());
    let pairs: Vec<(f32, f32)> = bases.iter().flat_map(|x| exponents.iter().map(move |y| (*x, *y))).collect();
    let (x, y): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    let scalar = Scalar::Binary(BinaryOp::Pow, value(0), value(1));
    for (variant, bytes) in apply(&[DType::F32, DType::F32], DType::F32, &scalar, &[to_bytes(&x), to_bytes(&y)]) {
        let mut worst = 0.0f64;
        for ((x, y), got) in pairs.iter().zip(from_bytes::<f32>(&bytes)) {
            let error = ulps(got, f64::from(*x).powf(f64::from(*y)));
            assert!(error <= 1.0, "{variant}: {x:e} to the power of {y:e} is {got:e}: {error} ulp");
            worst = worst.max(error);
        }
        println!("Pow {variant}: {worst:.2} ulp");
    }
}

fn check_double(op: UnaryOp, inputs: &[f64], exact: impl Fn(f64) -> f64, absolute: f64) {
    let scalar = Scalar::Unary(op, value(0));
    for (variant, bytes) in apply(&[DType::F64], DType::F64, &scalar, &[to_bytes(inputs)]) {
        for (x, got) in inputs.iter().zip(from_bytes::<f64>(&bytes)) {
            let exact = exact(*x);
            let close = (got - exact).abs() <= exact.abs() * 1e-12 + absolute;
            assert!(close || got == exact || got.is_nan() && exact.is_nan(), "{op:?} {variant}: {got:e} for {exact:e} at {x:e}");
        }
    }
}

#[test]
fn doubles_are_within_a_relative_1e_12() {
    let mut inputs: Vec<f64> = samples(-30.0, 30.0).into_iter().map(f64::from).collect();
    inputs.extend([700.0, -700.0, -740.0, 1e300, 1e-300, 5e-324, f64::MAX, 0.1]);
    let sigmoid = |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    check_double(UnaryOp::Exp, &inputs, f64::exp, 5e-324);
    check_double(UnaryOp::Log, &inputs, f64::ln, 0.0);
    check_double(UnaryOp::Tanh, &inputs, f64::tanh, 0.0);
    check_double(UnaryOp::Sigmoid, &inputs, sigmoid, 5e-324);
    check_double(UnaryOp::Erf, &inputs, erf, 0.0);
    inputs.retain(|x| x.abs() <= 1e5);
    check_double(UnaryOp::Sin, &inputs, f64::sin, 1e-12);
    check_double(UnaryOp::Cos, &inputs, f64::cos, 1e-12);
}
