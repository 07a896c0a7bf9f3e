// What kernels call, apart from the operations of the language. Only what a kernel uses stays in its shader.

// A float from its bits; a call, so that no compiler takes it for a constant, which could be neither infinite nor NaN.
fn float_of_bits(bits: u32) -> f32 { return bitcast<f32>(bits); }

fn float_is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn float_nan() -> f32 { return float_of_bits(0x7fc00000u); }
fn float_infinity() -> f32 { return float_of_bits(0x7f800000u); }
fn float_with_sign(magnitude: f32, sign: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(magnitude) & 0x7fffffffu) | (bitcast<u32>(sign) & 0x80000000u));
}

fn float_min(x: f32, y: f32) -> f32 { return select(select(y, x, x < y), x + y, float_is_nan(x) | float_is_nan(y)); }
fn float_max(x: f32, y: f32) -> f32 { return select(select(x, y, x < y), x + y, float_is_nan(x) | float_is_nan(y)); }

// The nearest whole number, ties to even, from the bits alone: drivers that emulate rounding differ where there are ties. The last
// bit before the binary point is even or odd; for numbers from 1 to 2 it is that of the exponent.
fn float_round(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    let fraction_bits = 150u - clamp(magnitude >> 23u, 127u, 149u);
    let unit = 1u << fraction_bits;
    let odd = (magnitude >> fraction_bits) & 1u;
    let from_one = (magnitude + (unit >> 1u) - 1u + odd) & ~(unit - 1u);
    let below_one = select(0u, 0x3f800000u, magnitude > 0x3f000000u);
    let rounded = select(from_one, below_one, magnitude < 0x3f800000u);
    return float_of_bits((bits & 0x80000000u) | select(rounded, magnitude, magnitude >= 0x4b000000u));
}

// Half precision by its bits, in either direction, rounded to nearest with ties to even.
fn float_of_half(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let magnitude = (bits & 0x7fffu) << 13u;
    let exponent = magnitude & 0x0f800000u;
    if exponent == 0x0f800000u { return float_of_bits(sign | magnitude | 0x7f800000u); }
    if exponent == 0u { return float_with_sign(f32(bits & 0x3ffu) * 0x1p-24, bitcast<f32>(sign)); }
    return bitcast<f32>(sign | (magnitude + 0x38000000u));
}
fn half_of_float(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = (bits >> 16u) & 0x8000u;
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u { return sign | 0x7e00u; }
    if magnitude >= 0x477ff000u { return sign | 0x7c00u; }
    if magnitude < 0x38800000u { return sign | u32(float_round(bitcast<f32>(magnitude) * 0x1p24)); }
    let odd = (magnitude >> 13u) & 1u;
    return sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13u);
}
fn round_to_half(x: f32) -> f32 { return float_of_half(half_of_float(x)); }

fn float_of_bfloat(bits: u32) -> f32 { return float_of_bits(bits << 16u); }
fn bfloat_of_float(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let rounded = bits + 0x7fffu + ((bits >> 16u) & 1u);
    return select(rounded, bits | 0x400000u, float_is_nan(x)) >> 16u;
}
fn round_to_bfloat(x: f32) -> f32 { return float_of_bfloat(bfloat_of_float(x)); }

fn float_exp(x: f32) -> f32 { return select(exp(x), x, float_is_nan(x)); }
fn float_log(x: f32) -> f32 {
    if float_is_nan(x) || x < 0.0 { return float_nan(); }
    if x == 0.0 { return -float_infinity(); }
    if x == float_infinity() { return x; }
    return log(x);
}
fn float_sqrt(x: f32) -> f32 { return select(sqrt(x), x + x, float_is_nan(x) | (x == 0.0) | (x == float_infinity())); }
fn float_sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + float_exp(-x)); }

fn float_tanh(x: f32) -> f32 {
    let size = abs(x);
    if float_is_nan(x) { return x; }
    if size >= 0.625 { return float_with_sign(1.0 - 2.0 / (exp(2.0 * min(size, 20.0)) + 1.0), x); }
    let s = x * x;
    var sum = -5.70498872745e-3;
    sum = fma(sum, s, 2.06390887954e-2);
    sum = fma(sum, s, -5.37397155531e-2);
    sum = fma(sum, s, 1.33314422036e-1);
    sum = fma(sum, s, -3.33332819422e-1);
    return fma(sum * s, x, x);
}

fn float_erf(x: f32) -> f32 {
    if float_is_nan(x) { return x; }
    let size = min(abs(x), 4.0);
    let s = size * size;
    if size > 0.927734375 {
        var high = fma(-1.72853470e-5, size, 3.83197126e-4);
        let low = fma(-3.88396438e-3, size, 2.42546219e-2);
        high = fma(high, s, low);
        high = fma(high, size, -1.06777877e-1);
        high = fma(high, size, -6.34846687e-1);
        high = fma(high, size, -1.28717512e-1);
        high = fma(high, size, -size);
        return float_with_sign(1.0 - exp(high), x);
    }
    var sum = -5.96761703e-4;
    sum = fma(sum, s, 4.99119423e-3);
    sum = fma(sum, s, -2.67681349e-2);
    sum = fma(sum, s, 1.12819925e-1);
    sum = fma(sum, s, -3.76125336e-1);
    sum = fma(sum, s, 1.28379166e-1);
    return fma(sum, x, x);
}

// The sine of `x` plus a number of quarter turns: `x` less the nearest multiple of a quarter turn, in three parts.
fn float_sine(x: f32, quarters: i32) -> f32 {
    if float_is_nan(x) || abs(x) == float_infinity() { return float_nan(); }
    let turns = round(clamp(x * 0.636619772367581, -1.0e9, 1.0e9));
    var rest = fma(turns, -1.5703125, x);
    rest = fma(turns, -4.837512969970703125e-4, rest);
    rest = fma(turns, -7.549789948768648e-8, rest);
    let quadrant = i32(turns) + quarters;
    let s = rest * rest;
    var sine = fma(-1.9515295891e-4, s, 8.3321608736e-3);
    sine = fma(sine, s, -1.6666654611e-1);
    sine = fma(sine * s, rest, rest);
    var cosine = fma(2.443315711809948e-5, s, -1.388731625493765e-3);
    cosine = fma(cosine, s, 4.166664568298827e-2);
    cosine = fma(cosine * s, s, fma(-0.5, s, 1.0));
    let value = select(sine, cosine, (quadrant & 1) != 0);
    return select(value, -value, (quadrant & 2) != 0);
}
fn float_sin(x: f32) -> f32 { return select(float_sine(x, 0), x, x == 0.0); }
fn float_cos(x: f32) -> f32 { return float_sine(x, 1); }

fn float_whole_power(base: f32, exponent: u32) -> f32 {
    var result = 1.0;
    var square = base;
    for (var left = exponent; left != 0u; left = left >> 1u) {
        result = select(result, result * square, (left & 1u) != 0u);
        square = square * square;
    }
    return result;
}
fn float_pow(x: f32, y: f32) -> f32 {
    if y == 0.0 || x == 1.0 { return 1.0; }
    if float_is_nan(x) || float_is_nan(y) { return float_nan(); }
    let whole = floor(y) == y;
    let size = abs(x);
    if whole && abs(y) <= 64.0 {
        let power = float_whole_power(x, u32(abs(y)));
        return select(power, 1.0 / power, y < 0.0);
    }
    if x < 0.0 && !whole && size != float_infinity() { return float_nan(); }
    var power = pow(size, y);
    if size == 0.0 || size == float_infinity() { power = select(0.0, float_infinity(), (size == 0.0) == (y < 0.0)); }
    if abs(y) == float_infinity() { power = select(select(0.0, float_infinity(), (size > 1.0) == (y > 0.0)), 1.0, size == 1.0); }
    let odd = whole && abs(y) < 16777216.0 && (i32(clamp(y, -16777216.0, 16777216.0)) & 1) != 0;
    return select(power, -power, odd && (bitcast<u32>(x) >> 31u) != 0u);
}

// The remainder with the sign of `x`, exact: multiples of the divisor that are powers of two are taken off, largest first. Numbers
// below the normal ones count as 0, as on many GPUs.
fn float_rem(x: f32, y: f32) -> f32 {
    let divisor = abs(y);
    var rest = abs(x);
    if float_is_nan(x) || float_is_nan(y) || divisor < 0x1p-126 || rest == float_infinity() { return float_nan(); }
    if divisor == float_infinity() { return x; }
    loop {
        if rest < divisor { break; }
        let multiple = bitcast<f32>((bitcast<u32>(rest) & 0x7f800000u) | (bitcast<u32>(divisor) & 0x007fffffu));
        rest = rest - select(multiple, multiple * 0.5, multiple > rest);
    }
    return float_with_sign(rest, x);
}
fn float_mod(x: f32, y: f32) -> f32 {
    let rest = float_rem(x, y);
    return select(rest, rest + y, rest != 0.0 && (rest < 0.0) != (y < 0.0));
}

fn int_div(x: i32, y: i32) -> i32 {
    if y == 0 { return 0; }
    if y == -1 { return 0 - x; }
    return x / y;
}
fn int_rem(x: i32, y: i32) -> i32 {
    if y == 0 || y == -1 { return 0; }
    return x - x / y * y;
}
fn int_mod(x: i32, y: i32) -> i32 {
    let rest = int_rem(x, y);
    return select(rest, rest + y, rest != 0 && (rest < 0) != (y < 0));
}
fn uint_div(x: u32, y: u32) -> u32 { return select(x / max(y, 1u), 0u, y == 0u); }
fn uint_rem(x: u32, y: u32) -> u32 { return select(x % max(y, 1u), 0u, y == 0u); }
fn long_div(x: i64, y: i64) -> i64 {
    if y == 0li { return 0li; }
    if y == -1li { return 0li - x; }
    return x / y;
}
fn long_rem(x: i64, y: i64) -> i64 {
    if y == 0li || y == -1li { return 0li; }
    return x - x / y * y;
}
fn long_mod(x: i64, y: i64) -> i64 {
    let rest = long_rem(x, y);
    return select(rest, rest + y, rest != 0li && (rest < 0li) != (y < 0li));
}
fn ulong_div(x: u64, y: u64) -> u64 { return select(x / max(y, 1lu), 0lu, y == 0lu); }
fn ulong_rem(x: u64, y: u64) -> u64 { return select(x % max(y, 1lu), 0lu, y == 0lu); }

// The quotient of indices, rounded down; the divisor counts as at least 1.
fn floor_div(x: i32, y: i32) -> i32 {
    let divisor = max(y, 1);
    let quotient = x / divisor;
    return select(quotient, quotient - 1, quotient * divisor > x);
}
// An index from a value that may be out of range for indices.
fn index_of_long(x: i64) -> i32 { return i32(clamp(x, -2147483647li, 2147483647li)); }

// Conversions truncate and saturate; NaN gives 0.
fn int_of_float(x: f32) -> i32 {
    if float_is_nan(x) { return 0; }
    if x >= 2147483648.0 { return 2147483647; }
    if x < -2147483648.0 { return -2147483648; }
    return i32(x);
}
fn uint_of_float(x: f32) -> u32 {
    if float_is_nan(x) || x < 0.0 { return 0u; }
    if x >= 4294967296.0 { return 4294967295u; }
    return u32(x);
}
fn long_of_float(x: f32) -> i64 {
    if float_is_nan(x) { return 0li; }
    if x >= 9223372036854775808.0 { return 9223372036854775807li; }
    if x <= -9223372036854775808.0 { return -9223372036854775807li - 1li; }
    return i64(x);
}
fn ulong_of_float(x: f32) -> u64 {
    if float_is_nan(x) || x < 0.0 { return 0lu; }
    if x >= 18446744073709551616.0 { return 18446744073709551615lu; }
    return u64(x);
}

// The unsigned bytes of `x` times the signed bytes of `y`, summed: signed products of the bytes of `x` less 128, put right.
fn dot_of_bytes(x: u32, y: u32, total: i32) -> i32 {
    return total + dot4I8Packed(x ^ 0x80808080u, y) + 128 * dot4I8Packed(0x01010101u, y);
}
// The same from single products.
fn dot_of_bytes_apart(x: u32, y: u32, total: i32) -> i32 {
    let first = i32(extractBits(x, 0u, 8u)) * extractBits(i32(y), 0u, 8u) + i32(extractBits(x, 8u, 8u)) * extractBits(i32(y), 8u, 8u);
    let second = i32(extractBits(x, 16u, 8u)) * extractBits(i32(y), 16u, 8u) + i32(extractBits(x, 24u, 8u)) * extractBits(i32(y), 24u, 8u);
    return total + first + second;
}
