//! Every scalar operation of every type that takes it, one by one and in vectors, beside the reference interpreter.

mod common;

use common::{Case, check};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, BufferId, Kernel, LoopKind, Operand, Place, Scalar, Stmt, ValueId};
use lostwax_ir::number::Number;
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

/// What floats are tested on; integers saturate.
const VALUES: &[f64] = &[
    0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    7.0,
    -7.0,
    0.1,
    1e-3,
    1e-7,
    100.0,
    127.0,
    -128.0,
    255.0,
    300.0,
    1e4,
    -4e4,
    7e4,
    3e9,
    -3e9,
    1e19,
    2e38,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Numbers of a type, all pairs of which are the operands.
fn numbers(dtype: DType) -> Vec<Number> {
    VALUES.iter().map(|value| Number::float(dtype, *value)).collect()
}

fn bytes(numbers: impl Iterator<Item = Number>) -> Vec<u8> {
    let bytes = numbers.map(|number| {
        let mut bytes = vec![0; number.dtype().size()];
        number.write(&mut bytes).unwrap();
        bytes
    });
    bytes.flatten().collect()
}

/// `c[i] = scalar(a[i], b[i])` for all pairs of numbers.
fn case(from: DType, to: DType, scalar: Scalar, lanes: i64) -> Case {
    let (item, lane, size) = (Symbol::new("item", 0, 1 << 20), Symbol::new("lane", 0, lanes - 1), Symbol::new("n", 0, 1 << 20));
    let at = Dim::symbol(&item) * lanes.into() + Dim::symbol(&lane);
    let element = |buffer: u32| Place::Buffer(BufferId(buffer), at.clone());
    let load = |id: u32| Stmt::Let { id: ValueId(id), value: Scalar::Load(element(id)) };
    let result = Stmt::Let { id: ValueId(2), value: scalar };
    let body = vec![load(0), load(1), result, Stmt::Store { place: element(2), value: Operand::Value(ValueId(2)) }];
    let active = Dim::symbol(&size) - Dim::symbol(&item) * lanes.into();
    let kind = if lanes == 1 { LoopKind::Serial } else { LoopKind::Vector { active: Some(active) } };
    let body = vec![Stmt::For { var: lane, extent: lanes.into(), kind, body }];
    let buffer = |dtype, writable| BufferDecl { name: "*/".into(), dtype, writable, pieces: 1 };
    let kernel = Kernel {
        name: "operation".into(),
        grid: Dim::symbol(&size).ceil_div(lanes),
        symbols: vec![size],
        item,
        buffers: vec![buffer(from, false), buffer(from, false), buffer(to, true)],
        locals: Vec::new(),
        rows: Vec::new(),
        body,
    };
    let values = numbers(from);
    let count = values.len() * values.len();
    let first = bytes(values.iter().flat_map(|x| values.iter().map(|_| *x)));
    let second = bytes(values.iter().flat_map(|_| values.iter().copied()));
    let buffers = vec![first, second, vec![0; count * to.size()]];
    Case { kernel, buffers, symbols: vec![count as i64], grid: count.div_ceil(lanes as usize) as u64 }
}

fn check_all(operations: impl Iterator<Item = (DType, DType, Scalar)>) {
    let cases: Vec<Case> =
        operations.flat_map(|(from, to, scalar)| [1, 8].map(|lanes| case(from, to, scalar.clone(), lanes))).collect();
    check(&cases, is_close);
}

/// Equal, or as close as a few roundings allow.
fn is_close(found: Number, expected: Number) -> bool {
    let (Number::Float(dtype, found), Number::Float(_, expected)) = (found, expected) else { return found == expected };
    let relative = match dtype {
        DType::F16 => 2e-3,
        DType::BF16 => 1.6e-2,
        DType::F32 => 1e-5,
        _ => 1e-12,
    };
    found == expected || found.is_nan() && expected.is_nan() || (found - expected).abs() <= relative * expected.abs().max(1e-6)
}

fn operands() -> (Operand, Operand) {
    (Operand::Value(ValueId(0)), Operand::Value(ValueId(1)))
}

#[test]
fn operations_on_one_value() {
    let (x, _) = operands();
    let all = DType::scalars().flat_map(|dtype| UnaryOp::ALL.iter().map(move |op| (dtype, *op)));
    let taken = all.filter(|(dtype, op)| Number::int(*dtype, 1).unary(*op).is_some());
    check_all(taken.map(|(dtype, op)| (dtype, dtype, Scalar::Unary(op, x.clone()))));
}

#[test]
fn operations_on_two_values() {
    let (x, y) = operands();
    let all = DType::scalars().flat_map(|dtype| BinaryOp::ALL.iter().map(move |op| (dtype, *op)));
    let results =
        all.filter_map(|(dtype, op)| Some((dtype, Number::int(dtype, 1).binary(op, Number::int(dtype, 1))?.dtype(), op)));
    check_all(results.map(|(from, to, op)| (from, to, Scalar::Binary(op, x.clone(), y.clone()))));
}

#[test]
fn conversions() {
    let (x, _) = operands();
    let pairs = || DType::scalars().flat_map(|from| DType::scalars().map(move |to| (from, to)));
    check_all(pairs().map(|(from, to)| (from, to, Scalar::Cast(to, x.clone()))));
    let equal = pairs().filter(|(from, to)| from.size() == to.size());
    // Bits of bools other than 0 and 1 are not bools, and there are many NaNs.
    let equal = equal.filter(|(from, to)| *to != DType::Bool && !(from.is_float() && from.size() == 2 && from != to));
    check_all(equal.map(|(from, to)| (from, to, Scalar::Bitcast(to, x.clone()))));
}

#[test]
fn other_operations() {
    let (x, y) = operands();
    let constant = |dtype: DType| if dtype.is_float() { Operand::float(dtype, -1.5) } else { Operand::Int(dtype, 3) };
    let products = DType::scalars().map(|dtype| (dtype, dtype, Scalar::MulAdd(x.clone(), y.clone(), constant(dtype))));
    let integers = || DType::scalars().filter(|dtype| dtype.is_integer());
    let left = integers().map(|dtype| (dtype, dtype, Scalar::ShiftLeft(x.clone(), 3)));
    let right = integers().map(|dtype| (dtype, dtype, Scalar::ShiftRight(x.clone(), 3)));
    let dot4 = (DType::U32, DType::I32, Scalar::Dot4(x.clone(), y.clone(), Operand::Int(DType::I32, -7)));
    let test = Scalar::Select(x.clone(), Operand::Int(DType::I64, i64::MIN), Operand::Int(DType::I64, i64::MAX));
    check_all(products.chain(left).chain(right).chain([dot4, (DType::Bool, DType::I64, test)]));
}
