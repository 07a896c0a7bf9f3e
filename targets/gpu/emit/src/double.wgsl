// What kernels call for floats of 64 bits, for which the language has arithmetic and roots only. Series rather than tables: such
// numbers are rare where shaders run.

fn double_of_bits(bits: u64) -> f64 { return bitcast<f64>(bits); }
fn double_is_nan(x: f64) -> bool { return !(x == x); }
fn double_nan() -> f64 { return double_of_bits(0x7ff8000000000000lu); }
fn double_infinity() -> f64 { return double_of_bits(0x7ff0000000000000lu); }
fn double_with_sign(magnitude: f64, sign: f64) -> f64 {
    return bitcast<f64>((bitcast<u64>(magnitude) & 0x7ffffffffffffffflu) | (bitcast<u64>(sign) & 0x8000000000000000lu));
}
fn double_is_negative(x: f64) -> bool { return (bitcast<u64>(x) >> 63u) != 0lu; }
fn double_power_of_two(exponent: i32) -> f64 { return bitcast<f64>(u64(i64(exponent + 1023)) << 52u); }

fn double_min(x: f64, y: f64) -> f64 { return select(select(y, x, x < y), x + y, double_is_nan(x) | double_is_nan(y)); }
fn double_max(x: f64, y: f64) -> f64 { return select(select(x, y, x < y), x + y, double_is_nan(x) | double_is_nan(y)); }

fn double_round(x: f64) -> f64 {
    let bits = bitcast<u64>(x);
    let magnitude = bits & 0x7ffffffffffffffflu;
    let fraction_bits = 1075u - clamp(u32(magnitude >> 52u), 1023u, 1074u);
    let unit = 1lu << fraction_bits;
    let odd = (magnitude >> fraction_bits) & 1lu;
    let from_one = (magnitude + (unit >> 1u) - 1lu + odd) & ~(unit - 1lu);
    let below_one = select(0lu, 0x3ff0000000000000lu, magnitude > 0x3fe0000000000000lu);
    let rounded = select(from_one, below_one, magnitude < 0x3ff0000000000000lu);
    return double_of_bits((bits & 0x8000000000000000lu) | select(rounded, magnitude, magnitude >= 0x4330000000000000lu));
}

fn double_exp(x: f64) -> f64 {
    if double_is_nan(x) { return x; }
    let bounded = clamp(x, -746.0lf, 710.0lf);
    let whole = round(bounded * 1.4426950408889634lf);
    let rest = fma(whole, -1.9082149292705877e-10lf, fma(whole, -0.6931471803691238lf, bounded));
    var sum = 1.0lf;
    for (var term = 14; term > 0; term = term - 1) { sum = fma(sum * rest, 1.0lf / f64(term), 1.0lf); }
    let half = i32(whole) / 2;
    return sum * double_power_of_two(half) * double_power_of_two(i32(whole) - half);
}
fn double_sigmoid(x: f64) -> f64 { return 1.0lf / (1.0lf + double_exp(-x)); }

fn double_log(x: f64) -> f64 {
    if double_is_nan(x) || x < 0.0lf { return double_nan(); }
    if x == 0.0lf { return -double_infinity(); }
    if x == double_infinity() { return x; }
    let subnormal = x < 2.2250738585072014e-308lf;
    let bits = bitcast<u64>(select(x, x * 18014398509481984.0lf, subnormal));
    var exponent = i32(bits >> 52u) - 1023 - select(0, 54, subnormal);
    var fraction = bitcast<f64>((bits & 0xffffffffffffflu) | 0x3ff0000000000000lu);
    if fraction > 1.4142135623730951lf {
        fraction = fraction * 0.5lf;
        exponent = exponent + 1;
    }
    let ratio = (fraction - 1.0lf) / (fraction + 1.0lf);
    let s = ratio * ratio;
    var sum = 0.0lf;
    for (var odd = 25; odd > 1; odd = odd - 2) { sum = fma(sum, s, 1.0lf / f64(odd)); }
    let low = fma(f64(exponent), 1.9082149292705877e-10lf, 2.0lf * ratio * s * sum);
    return fma(f64(exponent), 0.6931471803691238lf, fma(2.0lf, ratio, low));
}

fn double_tanh(x: f64) -> f64 {
    if double_is_nan(x) { return x; }
    let twice = 2.0lf * min(abs(x), 30.0lf);
    if twice > 0.5lf { return double_with_sign(1.0lf - 2.0lf / (double_exp(twice) + 1.0lf), x); }
    var sum = 1.0lf;
    for (var term = 14; term > 1; term = term - 1) { sum = fma(sum * twice, 1.0lf / f64(term), 1.0lf); }
    let less_one = sum * twice;
    return double_with_sign(less_one / (less_one + 2.0lf), x);
}

// All terms of the series have one sign.
fn double_erf(x: f64) -> f64 {
    if double_is_nan(x) { return x; }
    if abs(x) > 6.0lf { return double_with_sign(1.0lf, x); }
    var term = x;
    var sum = x;
    for (var odd = 3; odd < 400; odd = odd + 2) {
        if abs(term) <= abs(sum) * 1.0e-17lf { break; }
        term = term * (2.0lf * x * x / f64(odd));
        sum = sum + term;
    }
    return 1.1283791670955126lf * double_exp(-x * x) * sum;
}

fn double_sine(x: f64, quarters: i32) -> f64 {
    if double_is_nan(x) || abs(x) == double_infinity() { return double_nan(); }
    let turns = round(clamp(x * 0.6366197723675814lf, -1.0e9lf, 1.0e9lf));
    var rest = fma(turns, -1.5707963267341256lf, x);
    rest = fma(turns, -6.077100506303966e-11lf, rest);
    rest = fma(turns, -2.0222662487959506e-21lf, rest);
    let quadrant = i32(turns) + quarters;
    let s = rest * rest;
    var sine = 1.0lf;
    var cosine = 1.0lf;
    for (var term = 9; term > 0; term = term - 1) {
        sine = fma(sine * s, -1.0lf / f64(2 * term * (2 * term + 1)), 1.0lf);
        cosine = fma(cosine * s, -1.0lf / f64(2 * term * (2 * term - 1)), 1.0lf);
    }
    let value = select(sine * rest, cosine, (quadrant & 1) != 0);
    return select(value, -value, (quadrant & 2) != 0);
}
fn double_sin(x: f64) -> f64 { return select(double_sine(x, 0), x, x == 0.0lf); }
fn double_cos(x: f64) -> f64 { return double_sine(x, 1); }

fn double_whole_power(base: f64, exponent: u32) -> f64 {
    var result = 1.0lf;
    var square = base;
    for (var left = exponent; left != 0u; left = left >> 1u) {
        result = select(result, result * square, (left & 1u) != 0u);
        square = square * square;
    }
    return result;
}
fn double_pow(x: f64, y: f64) -> f64 {
    if y == 0.0lf || x == 1.0lf { return 1.0lf; }
    if double_is_nan(x) || double_is_nan(y) { return double_nan(); }
    let whole = floor(y) == y;
    let size = abs(x);
    let infinity = double_infinity();
    if whole && abs(y) <= 64.0lf {
        let power = double_whole_power(x, u32(abs(y)));
        return select(power, 1.0lf / power, y < 0.0lf);
    }
    if x < 0.0lf && !whole && size != infinity { return double_nan(); }
    var power = double_exp(y * double_log(size));
    if size == 0.0lf || size == infinity { power = select(0.0lf, infinity, (size == 0.0lf) == (y < 0.0lf)); }
    if abs(y) == infinity { power = select(select(0.0lf, infinity, (size > 1.0lf) == (y > 0.0lf)), 1.0lf, size == 1.0lf); }
    let odd = whole && abs(y) < 9007199254740992.0lf && floor(y * 0.5lf) * 2.0lf != y;
    return select(power, -power, odd && double_is_negative(x));
}

// As of floats of 32 bits.
fn double_rem(x: f64, y: f64) -> f64 {
    let divisor = abs(y);
    var rest = abs(x);
    let infinity = double_infinity();
    if double_is_nan(x) || double_is_nan(y) || divisor < 2.2250738585072014e-308lf || rest == infinity { return double_nan(); }
    if divisor == infinity { return x; }
    loop {
        if rest < divisor { break; }
        let multiple = bitcast<f64>((bitcast<u64>(rest) & 0x7ff0000000000000lu) | (bitcast<u64>(divisor) & 0xffffffffffffflu));
        rest = rest - select(multiple, multiple * 0.5lf, multiple > rest);
    }
    return double_with_sign(rest, x);
}
fn double_mod(x: f64, y: f64) -> f64 {
    let rest = double_rem(x, y);
    return select(rest, rest + y, rest != 0.0lf && (rest < 0.0lf) != (y < 0.0lf));
}

fn long_of_double(x: f64) -> i64 {
    if double_is_nan(x) { return 0li; }
    if x >= 9223372036854775808.0lf { return 9223372036854775807li; }
    if x <= -9223372036854775808.0lf { return -9223372036854775807li - 1li; }
    return i64(x);
}
fn ulong_of_double(x: f64) -> u64 {
    if double_is_nan(x) || x < 0.0lf { return 0lu; }
    if x >= 18446744073709551616.0lf { return 18446744073709551615lu; }
    return u64(x);
}
