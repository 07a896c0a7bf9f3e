//! Every scalar operation and conversion of every type, on ordinary and special values, beside the reference interpreter.

mod common;

use common::{from_bytes, is_close, reference, run, to_bytes};
use half::{bf16, f16};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, BufferId, Kernel, LoopKind, Operand, Place, Scalar, Stmt, ValueId};
use lostwax_ir::number::Number;
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use std::process::Command;

const LANES: i64 = 4;

/// Values that every type rounds, wraps or saturates to something of its own.
const VALUES: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    7.0,
    0.1,
    -7.25,
    100.0,
    -128.0,
    127.0,
    255.0,
    -300.0,
    1e-3,
    1e4,
    65504.0,
    -1e5,
    2147483648.0,
    -2147483648.0,
    4294967296.0,
    1e10,
    -1e19,
    20.25,
    88.0,
    -87.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

fn values(dtype: DType) -> Vec<Number> {
    VALUES.iter().map(|value| Number::float(dtype, *value)).collect()
}

/// `scalar` of elements of the inputs, for each lane of each work item.
fn elementwise(inputs: &[DType], output: DType, scalar: Scalar) -> Kernel {
    let (size, item, lane) = (Symbol::new("n", 1, 1 << 20), Symbol::new("item", 0, 1 << 20), Symbol::new("lane", 0, LANES - 1));
    let at = Dim::symbol(&item) * LANES.into() + Dim::symbol(&lane);
    let load = |position: usize| Stmt::Let {
        id: ValueId(position as u32),
        value: Scalar::Load(Place::Buffer(BufferId(position as u32), at.clone())),
    };
    let result = ValueId(inputs.len() as u32);
    let mut body: Vec<Stmt> = (0..inputs.len()).map(load).collect();
    body.push(Stmt::Let { id: result, value: scalar });
    let place = Place::Buffer(BufferId(inputs.len() as u32), at.clone());
    body.push(Stmt::Store { place, value: Operand::Value(result) });
    let active = Some(Dim::symbol(&size) - Dim::symbol(&item) * LANES.into());
    let buffer = |dtype, writable| BufferDecl { name: "x".into(), dtype, writable, pieces: 1 };
    Kernel {
        name: "elementwise".into(),
        grid: Dim::symbol(&size).ceil_div(LANES),
        buffers: inputs.iter().map(|dtype| buffer(*dtype, false)).chain([buffer(output, true)]).collect(),
        locals: Vec::new(),
        rows: Vec::new(),
        body: vec![Stmt::For { var: lane, extent: LANES.into(), kind: LoopKind::Vector { active }, body }],
        symbols: vec![size],
        item,
    }
}

fn operand(position: u32) -> Operand {
    Operand::Value(ValueId(position))
}

/// Compares with the interpreter; `skip` names the inputs for which results are not defined.
fn check(what: &str, inputs: &[Vec<Number>], output: DType, scalar: Scalar, tolerance: f64, skip: impl Fn(&[Number]) -> bool) {
    let types: Vec<DType> = inputs.iter().map(|input| input[0].dtype()).collect();
    let kernel = elementwise(&types, output, scalar);
    let count = inputs[0].len();
    let mut buffers: Vec<Vec<u8>> = inputs.iter().map(|input| to_bytes(input)).collect();
    buffers.push(vec![0; count * output.size()]);
    let symbols = [count as i64];
    let expected = from_bytes(output, reference(&kernel, &buffers, &symbols).last().unwrap());
    let found = from_bytes(output, run(&kernel, &buffers, &symbols, (count as u64).div_ceil(LANES as u64)).last().unwrap());
    for (position, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        let given: Vec<Number> = inputs.iter().map(|input| input[position]).collect();
        assert!(skip(&given) || is_close(found, expected, tolerance), "{what} of {given:?}: {found:?} instead of {expected:?}");
    }
}

/// How far shaders may be from the exact result, relatively.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2e-3,
        DType::BF16 => 1e-2,
        DType::F64 => 1e-12,
        _ => 3e-5,
    }
}

/// Angles whose reduction is exact enough.
fn is_large(number: Number) -> bool {
    number.as_f64().is_finite() && number.as_f64().abs() > 1e4
}

fn unary_ops(dtype: DType) -> impl Iterator<Item = UnaryOp> {
    let taken = move |op: &UnaryOp| match dtype {
        DType::Bool => *op == UnaryOp::Not,
        _ => Number::float(dtype, 1.0).unary(*op).is_some(),
    };
    UnaryOp::ALL.iter().copied().filter(taken)
}

fn binary_ops(dtype: DType) -> impl Iterator<Item = BinaryOp> {
    let one = Number::float(dtype, 1.0);
    let arithmetic = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Div, BinaryOp::Mod, BinaryOp::Rem, BinaryOp::ShiftRight];
    let taken = move |op: &BinaryOp| one.binary(*op, one).is_some() && (dtype != DType::Bool || !arithmetic.contains(op));
    BinaryOp::ALL.iter().copied().filter(taken)
}

/// All pairs of values.
fn pairs(dtype: DType) -> [Vec<Number>; 2] {
    let values = values(dtype);
    let pairs = || values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b)));
    [pairs().map(|(a, _)| a).collect(), pairs().map(|(_, b)| b).collect()]
}

#[test]
fn operations_on_one_value() {
    for dtype in DType::scalars() {
        for op in unary_ops(dtype) {
            let angle = matches!(op, UnaryOp::Sin | UnaryOp::Cos);
            let skip = |given: &[Number]| angle && is_large(given[0]);
            let what = format!("{} {dtype}", op.name());
            check(&what, &[values(dtype)], dtype, Scalar::Unary(op, operand(0)), tolerance(dtype), skip);
        }
    }
}

/// Ties, and numbers for which rounding by sums and truncation goes wrong.
const TIES: &[f64] = &[
    0.0,
    0.25,
    0.499_999_97,
    0.499_999_999_999_999_94,
    0.5,
    0.75,
    1.0,
    1.25,
    1.5,
    1.75,
    2.5,
    3.5,
    4.5,
    126.5,
    127.5,
    2_097_151.5,
    8_388_607.5,
    8_388_609.0,
    16_777_217.0,
    2_147_483_648.5,
    4_503_599_627_370_495.5,
    4_503_599_627_370_497.0,
    1e18,
    f64::INFINITY,
];

fn check_rounding(dtypes: &[DType]) {
    for dtype in dtypes {
        let values: Vec<Number> = TIES.iter().flat_map(|tie| [*tie, -tie]).map(|tie| Number::float(*dtype, tie)).collect();
        for op in [UnaryOp::Floor, UnaryOp::Ceil, UnaryOp::Round] {
            let what = format!("{} {dtype}", op.name());
            check(&what, std::slice::from_ref(&values), *dtype, Scalar::Unary(op, operand(0)), 0.0, |_| false);
        }
    }
}

#[test]
fn rounding_of_floats() {
    check_rounding(&[DType::F32, DType::F16, DType::BF16]);
}

#[test]
fn rounding_of_doubles() {
    check_rounding(&[DType::F64]);
}

/// Drivers emulate what a CPU lacks. Mesa's software GPU can be told to do without instructions of this CPU; on other
/// drivers, the tests only run again. It cannot compile doubles without SSE.
#[test]
fn rounding_is_right_where_it_is_emulated() {
    let lacking = [("avx", "rounding_of_floats"), ("avx", "rounding_of_doubles"), ("sse2", "rounding_of_floats")];
    let lacking = lacking.into_iter().chain([("sse2", "rounding_of_doubles"), ("nosse", "rounding_of_floats")]);
    for (instructions, test) in lacking {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", test]).env("GALLIUM_OVERRIDE_CPU_CAPS", instructions).output().unwrap();
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success() && printed.contains("1 passed"), "{test} with {instructions}: {printed}");
    }
}

#[test]
fn operations_on_two_values() {
    for dtype in DType::scalars() {
        for op in binary_ops(dtype) {
            let output = if op.is_comparison() { DType::Bool } else { dtype };
            let what = format!("{} {dtype}", op.name());
            // The rounded sum of a remainder and its divisor.
            let skip = |given: &[Number]| matches!(op, BinaryOp::Mod) && dtype.is_float() && is_large(given[0]);
            check(&what, &pairs(dtype), output, Scalar::Binary(op, operand(0), operand(1)), tolerance(dtype), skip);
        }
    }
}

#[test]
fn conversions() {
    for from in DType::scalars() {
        for to in DType::scalars() {
            check(&format!("{from} as {to}"), &[values(from)], to, Scalar::Cast(to, operand(0)), 1e-6, |_| false);
            if from.size() == to.size() && from != DType::Bool && to != DType::Bool {
                let scalar = Scalar::Bitcast(to, operand(0));
                // Bits of NaN may change on their way.
                check(&format!("bits of {from} as {to}"), &[values(from)], to, scalar, 0.0, |given| given[0].as_f64().is_nan());
            }
        }
    }
}

#[test]
fn half_precision_is_exact() {
    for dtype in [DType::F16, DType::BF16] {
        let halves: Vec<Number> = (0..=u16::MAX).map(|bits| Number::read(dtype, &bits.to_le_bytes()).unwrap()).collect();
        check("widening", &[halves], DType::F32, Scalar::Cast(DType::F32, operand(0)), 0.0, |_| false);
    }
    let singles: Vec<f32> = (0..60_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b1))).collect();
    narrowing(DType::F16, &singles, |x| f16::from_f32(x).to_f64());
    narrowing(DType::BF16, &singles, |x| bf16::from_f32(x).to_f64());
}

fn narrowing(dtype: DType, singles: &[f32], expected: fn(f32) -> f64) {
    let kernel = elementwise(&[DType::F32], dtype, Scalar::Cast(dtype, operand(0)));
    let given: Vec<u8> = singles.iter().flat_map(|value| value.to_le_bytes()).collect();
    let grid = (singles.len() as u64).div_ceil(LANES as u64);
    let buffers = run(&kernel, &[given, vec![0; singles.len() * 2]], &[singles.len() as i64], grid);
    for (found, given) in from_bytes(dtype, &buffers[1]).into_iter().zip(singles) {
        let (found, expected) = (found.as_f64(), expected(*given));
        assert!(found == expected || found.is_nan() && expected.is_nan(), "{given} as {dtype}: {found} instead of {expected}");
    }
}

#[test]
fn products_of_four_bytes() {
    let words =
        |seed: u32| (0..64u32).map(|i| Number::Int(DType::U32, i64::from((i + seed).wrapping_mul(0x9e37_79b1)))).collect();
    let totals = (0..64).map(|i| Number::Int(DType::I32, i * 1000 - 30_000)).collect();
    let inputs: [Vec<Number>; 3] = [words(1), words(99), totals];
    check("dot4", &inputs, DType::I32, Scalar::Dot4(operand(0), operand(1), operand(2)), 0.0, |_| false);
}

#[test]
fn multiply_add_shifts_and_choices() {
    for dtype in DType::scalars().filter(|dtype| *dtype != DType::Bool) {
        let [a, b] = pairs(dtype);
        let scalar = Scalar::MulAdd(operand(0), operand(1), operand(0));
        let huge = |given: &[Number]| given.iter().any(|number| dtype.is_float() && number.as_f64().abs() > 1e4);
        check(&format!("mul_add {dtype}"), &[a, b], dtype, scalar, 1e-2, huge);
        if dtype.is_integer() {
            for count in [0, 3, dtype.size() as u32 * 8 - 1] {
                let (left, right) = (Scalar::ShiftLeft(operand(0), count), Scalar::ShiftRight(operand(0), count));
                check(&format!("{dtype} << {count}"), &[values(dtype)], dtype, left, 0.0, |_| false);
                check(&format!("{dtype} >> {count}"), &[values(dtype)], dtype, right, 0.0, |_| false);
            }
        }
    }
}
