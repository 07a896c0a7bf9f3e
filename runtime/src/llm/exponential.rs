/// `e^x` from additions and multiplications alone, so that it is the same number on all machines. For `x <= 0`, which is all that
/// probabilities need; 0 below -700.
pub(crate) fn exponential(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let doublings = (x * std::f64::consts::LOG2_E).floor();
    let rest = x - doublings * std::f64::consts::LN_2;
    let series = (1..=20).rev().fold(1.0, |sum, term| 1.0 + sum * rest / f64::from(term));
    series * f64::from_bits(((doublings as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::exponential;

    #[test]
    fn agrees_with_the_library() {
        for step in 0..7000 {
            let x = -f64::from(step) / 10.0;
            let (found, expected) = (exponential(x), x.exp());
            assert!((found - expected).abs() <= 1e-13 * expected, "{x}: {found} {expected}");
        }
        assert_eq!((exponential(0.0), exponential(-1e9), exponential(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }
}
