//! Kernels that apply one operation to every element, with vectors and one by one.

use super::*;

/// `outputs[i] = scalar(inputs[i]...)`, where the operands of `scalar` are values 0, 1, ...
pub fn elementwise(inputs: &[DType], output: DType, scalar: &Scalar, lanes: i64) -> Kernel {
    let size = Symbol::new("n", 0, 1 << 30);
    let (item, lane) = (Symbol::new("item", 0, 1 << 30), index("lane", lanes));
    let at = times(&item, lanes) + dim(&lane);
    let mut body: Vec<Stmt> = (0..inputs.len() as u32).map(|id| load(id, id, at.clone())).collect();
    body.push(let_(99, scalar.clone()));
    body.push(store(inputs.len() as u32, at, 99));
    let body = match lanes {
        1 => for_(&lane, 1, LoopKind::Serial, body),
        _ => masked(&lane, lanes, dim(&size) - times(&item, lanes), body),
    };
    let mut buffers: Vec<BufferDecl> = inputs.iter().map(|dtype| buffer("in", *dtype, false)).collect();
    buffers.push(buffer("out", output, true));
    kernel(&item, &[size], buffers, vec![body])
}

/// The results of an elementwise kernel, for each variant and width.
pub fn apply(dtypes: &[DType], output: DType, scalar: &Scalar, inputs: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let count = inputs[0].len() / dtypes[0].size();
    let mut buffers = inputs.to_vec();
    buffers.push(vec![0xa5; count * output.size()]);
    let mut results = Vec::new();
    for lanes in [1, 16] {
        let kernel = elementwise(dtypes, output, scalar, lanes);
        let run = if lanes == 1 { run_here } else { run_all };
        for (variant, mut memory) in run(&kernel, &buffers, &[count as i64], (count as u64).div_ceil(lanes as u64)) {
            results.push((format!("{variant} with {lanes} lanes"), memory.pop().unwrap()));
        }
    }
    results
}

/// Checks an operation of one operand against a function.
pub fn check_unary<T: Element + std::fmt::Debug, U: Element + PartialEq + std::fmt::Debug>(
    scalar: &Scalar,
    inputs: &[T],
    expected: impl Fn(T) -> U,
    same: impl Fn(&U, &U) -> bool,
) {
    for (variant, bytes) in apply(&[T::DTYPE], U::DTYPE, scalar, &[to_bytes(inputs)]) {
        for (input, got) in inputs.iter().zip(from_bytes::<U>(&bytes)) {
            let expected = expected(*input);
            assert!(same(&got, &expected), "{variant}: {scalar:?} of {input:?} is {got:?}, not {expected:?}");
        }
    }
}

/// Checks an operation of two operands on all pairs of inputs.
pub fn check_binary<T: Element + std::fmt::Debug, U: Element + PartialEq + std::fmt::Debug>(
    op: BinaryOp,
    inputs: &[T],
    expected: impl Fn(T, T) -> U,
    same: impl Fn(&U, &U) -> bool,
) {
    let pairs: Vec<(T, T)> = inputs.iter().flat_map(|a| inputs.iter().map(move |b| (*a, *b))).collect();
    let (a, b): (Vec<T>, Vec<T>) = pairs.iter().copied().unzip();
    let scalar = Scalar::Binary(op, value(0), value(1));
    for (variant, bytes) in apply(&[T::DTYPE, T::DTYPE], U::DTYPE, &scalar, &[to_bytes(&a), to_bytes(&b)]) {
        for ((a, b), got) in pairs.iter().zip(from_bytes::<U>(&bytes)) {
            let expected = expected(*a, *b);
            assert!(same(&got, &expected), "{variant}: {op:?} of {a:?} and {b:?} is {got:?}, not {expected:?}");
        }
    }
}

pub fn exactly<T: PartialEq>(a: &T, b: &T) -> bool {
    a == b
}

/// Equal as numbers; all NaNs are the same.
pub fn same_f32(a: &f32, b: &f32) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

/// As [`same_f32`].
pub fn same_f64(a: &f64, b: &f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

/// Numbers of all magnitudes and the special ones.
pub fn interesting() -> Vec<f32> {
    let mut values =
        vec![0.0, 1.0, 0.5, 1.5, 2.0, 2.5, 3.0, 7.0, 0.1, 1e-3, 1e-10, 1e-38, 1e-40, 1e-45, 1e10, 8388607.5, 1.6e7, 3e38];
    values.extend([f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, 88.0, 100.0, 127.5, 255.9, 32768.0, 2147483648.0, 4.3e9, 1e19]);
    let negative: Vec<f32> = values.iter().map(|value| -value).collect();
    values.extend(negative);
    values.push(f32::NAN);
    values
}
