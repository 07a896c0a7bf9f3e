//! Loops, memory access, locals and rows.

mod common;

use common::gemm::{COLUMNS, ROWS, gemm, pack};
use common::*;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::*;
use lostwax_ir::scalar::BinaryOp;
use lostwax_ir::types::DType;

const F32: DType = DType::F32;

fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 * 0.5 - 7.0).collect()
}

#[test]
fn vector_add_stops_at_the_end() {
    let size = Symbol::new("n", 1, 1000);
    let (item, lane) = (Symbol::new("item", 0, 1000), index("lane", 8));
    let at = times(&item, 8) + dim(&lane);
    let body = vec![load(0, 0, at.clone()), load(1, 1, at.clone()), binary(2, BinaryOp::Add, 0, 1), store(2, at, 2)];
    let body = vec![masked(&lane, 8, dim(&size) - times(&item, 8), body)];
    let buffers = vec![buffer("a", F32, false), buffer("b", F32, false), buffer("c", F32, true)];
    let kernel = kernel(&item, std::slice::from_ref(&size), buffers, body);
    for n in [1usize, 7, 8, 9, 31, 64, 100] {
        let (a, b) = (ramp(n), ramp(n));
        let given = [to_bytes(&a), to_bytes(&b), vec![0xff; n * 4]];
        for (variant, result) in run_all(&kernel, &given, &[n as i64], n.div_ceil(8) as u64) {
            let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
            assert_eq!(from_bytes::<f32>(&result[2]), expected, "{variant} {n}");
        }
    }
}

#[test]
fn gemm_tiles_handle_all_remainders() {
    for (m, n, k) in [(6, 16, 3), (1, 1, 1), (7, 17, 5), (11, 31, 4), (12, 32, 16), (13, 40, 7), (5, 15, 2)] {
        let (a, b) = (ramp((m * k) as usize), ramp((k * n) as usize));
        let given = [to_bytes(&a), to_bytes(&pack(&b, n as usize, k as usize)), vec![0xff; (m * n * 4) as usize]];
        let tiles = ((m + ROWS - 1) / ROWS) * ((n + COLUMNS - 1) / COLUMNS);
        for (variant, result) in run_all(&gemm(m, n, k), &given, &[], tiles as u64) {
            let result: Vec<f32> = from_bytes(&result[2]);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let expected: f64 = (0..k).map(|l| f64::from(a[(i * k + l) as usize]) * f64::from(b[(l * n + j) as usize])).sum();
                let got = f64::from(result[(i * n + j) as usize]);
                assert!((got - expected).abs() < 1e-3, "{variant} {m}x{n}x{k} at {i},{j}: {got} {expected}");
            }
        }
    }
}

/// Runs a kernel with one output and compares it, for each variant.
fn check<T: Element + PartialEq + std::fmt::Debug>(
    kernel: &Kernel,
    inputs: &[Vec<u8>],
    symbols: &[i64],
    grid: u64,
    expected: &[T],
) {
    let mut buffers = inputs.to_vec();
    buffers.push(vec![0xff; expected.len() * T::DTYPE.size()]);
    for (variant, result) in run_all(kernel, &buffers, symbols, grid) {
        assert_eq!(from_bytes::<T>(result.last().unwrap()), expected, "{variant}");
    }
}

fn in_and_out(writable: DType) -> Vec<BufferDecl> {
    vec![buffer("x", F32, false), buffer("y", writable, true)]
}

#[test]
fn strides_other_than_one_are_gathered_and_scattered() {
    for stride in [-3i64, -1, 2, 3, 5] {
        let (item, lane) = (index("item", 1), index("lane", 8));
        let start = if stride < 0 { -7 * stride } else { 0 };
        let at = times(&lane, stride) + start.into();
        let body = vec![vector(&lane, 8, vec![load(0, 0, at.clone()), store(1, dim(&lane), 0)])];
        let gather = kernel(&item, &[], in_and_out(F32), body);
        let input = ramp(7 * stride.unsigned_abs() as usize + 1);
        let gathered: Vec<f32> = (0..8).map(|lane| input[(lane * stride + start) as usize]).collect();
        check(&gather, &[to_bytes(&input)], &[], 1, &gathered);
        let body = vec![vector(&lane, 8, vec![load(0, 0, dim(&lane)), store(1, at, 0)])];
        let scatter = kernel(&item, &[], in_and_out(F32), body);
        let mut scattered = vec![f32::from_bits(0xffff_ffff).to_bits(); input.len()];
        (0..8).for_each(|lane| scattered[(lane * stride + start) as usize] = ramp(8)[lane as usize].to_bits());
        let buffers = [to_bytes(&ramp(8)), vec![0xff; input.len() * 4]];
        for (variant, result) in run_all(&scatter, &buffers, &[], 1) {
            assert_eq!(from_bytes::<u32>(&result[1]), scattered, "{variant} {stride}");
        }
    }
}

#[test]
fn masked_gathers_and_scatters_leave_other_memory_alone() {
    let size = Symbol::new("n", 0, 100);
    let (item, lane) = (index("item", 1), index("lane", 8));
    let moved = vec![load(0, 0, times(&lane, 3)), store(1, times(&lane, 2), 0)];
    let kernel = kernel(&item, std::slice::from_ref(&size), in_and_out(F32), vec![masked(&lane, 8, dim(&size), moved)]);
    for n in 0..=9usize {
        let active = n.min(8);
        let input = ramp((active * 3).saturating_sub(2));
        let buffers = [to_bytes(&input), to_bytes(&vec![9.0f32; (active * 2).saturating_sub(1)])];
        for (variant, result) in run_all(&kernel, &buffers, &[n as i64], 1) {
            for (at, got) in from_bytes::<f32>(&result[1]).into_iter().enumerate() {
                let expected = if at % 2 == 0 { input[at / 2 * 3] } else { 9.0 };
                assert_eq!(got, expected, "{variant} {n} {at}");
            }
        }
    }
}

#[test]
fn indices_that_are_not_affine_are_computed_per_lane() {
    let (item, lane) = (index("item", 3), index("lane", 16));
    let linear = times(&item, 16) + dim(&lane);
    let at = linear.floor_div(5) * 2.into() + linear.modulo(7);
    let body = vec![vector(&lane, 16, vec![load(0, 0, at), store(1, linear, 0)])];
    let input = ramp(64);
    let expected: Vec<f32> = (0..48).map(|i| input[i / 5 * 2 + i % 7]).collect();
    check(&kernel(&item, &[], in_and_out(F32), body), &[to_bytes(&input)], &[], 3, &expected);
}

#[test]
fn symbolic_arithmetic_rounds_down() {
    let (a, b) = (Symbol::new("a", -1000, 1000), Symbol::new("b", 1, 50));
    let dims = [
        dim(&a).floor_div(7),
        dim(&a).modulo(7),
        dim(&a).floor_div(&b),
        dim(&a).minimum(&b) * dim(&b),
        dim(&a).maximum(&b) - dim(&a) * dim(&a),
        (dim(&b) + 3.into()).floor_div(4),
    ];
    let item = index("item", 1);
    let one = |(at, dim): (usize, &Dim)| {
        vec![let_(at as u32, Scalar::Index(dim.clone(), DType::I64)), store(0, (at as i64).into(), at as u32)]
    };
    let body = dims.iter().enumerate().flat_map(one).collect();
    let kernel = kernel(&item, &[a, b], vec![buffer("y", DType::I64, true)], body);
    for (x, y) in [(0i64, 1i64), (13, 5), (-13, 5), (-14, 7), (999, 50), (-1, 3)] {
        let expected = [x.div_euclid(7), x.rem_euclid(7), x.div_euclid(y), x.min(y) * y, x.max(y) - x * x, (y + 3) / 4];
        check(&kernel, &[], &[x, y], 1, &expected);
    }
}

#[test]
fn indices_can_be_values_of_lanes() {
    let (item, lane, pick) = (index("item", 1), index("lane", 8), Symbol::new("pick", 0, 99));
    let let_pick = Stmt::LetIndex { symbol: pick.clone(), value: value(0) };
    let body = vec![load(0, 0, dim(&lane)), let_pick, load(1, 1, dim(&pick) * 2.into()), store(2, dim(&lane), 1)];
    let buffers = vec![buffer("at", DType::I32, false), buffer("x", F32, false), buffer("y", F32, true)];
    let (at, input) = ([5i32, 0, 3, 3, 9, 1, 2, 7], ramp(19));
    let expected: Vec<f32> = at.iter().map(|at| input[*at as usize * 2]).collect();
    let kernel = kernel(&item, &[], buffers, vec![vector(&lane, 8, body)]);
    check(&kernel, &[to_bytes(&at), to_bytes(&input)], &[], 1, &expected);
}

#[test]
fn indices_can_be_scalar_values() {
    let (item, pick) = (index("item", 8), Symbol::new("pick", 0, 99));
    let let_pick = Stmt::LetIndex { symbol: pick.clone(), value: value(0) };
    let body = vec![load(0, 0, dim(&item)), let_pick, load(1, 1, dim(&pick) + dim(&item)), store(2, dim(&item), 1)];
    let buffers = vec![buffer("at", DType::I64, false), buffer("x", F32, false), buffer("y", F32, true)];
    let (at, input) = ([5i64, 0, 3, 3, 9, 1, 2, 7], ramp(19));
    let expected: Vec<f32> = at.iter().enumerate().map(|(item, at)| input[*at as usize + item]).collect();
    check(&kernel(&item, &[], buffers, body), &[to_bytes(&at), to_bytes(&input)], &[], 8, &expected);
}

#[test]
fn guarded_loads_do_not_touch_memory() {
    let (item, lane) = (index("item", 4), index("lane", 8));
    let at = times(&item, 8) + dim(&lane) - 3.into();
    for stride in [1, 2] {
        let place = Place::Buffer(BufferId(0), at.clone() * stride.into());
        let valid = Cond::within(&at, &0.into(), &20.into());
        let guarded = Scalar::LoadIf { place, valid, otherwise: Operand::float(F32, -1.0) };
        let body = vec![vector(&lane, 8, vec![let_(0, guarded), store(1, times(&item, 8) + dim(&lane), 0)])];
        let input = ramp(19 * stride as usize + 1);
        let at = |i: usize| i.checked_sub(3).filter(|at| *at < 20);
        let expected: Vec<f32> = (0..32).map(|i| at(i).map_or(-1.0, |at| input[at * stride as usize])).collect();
        check(&kernel(&item, &[], in_and_out(F32), body), &[to_bytes(&input)], &[], 4, &expected);
    }
}

#[test]
fn scalar_guards_do_not_touch_memory() {
    let item = index("item", 9);
    let at = dim(&item) - 2.into();
    let guarded = |otherwise| Scalar::LoadIf {
        place: Place::Buffer(BufferId(0), at.clone()),
        valid: Cond::within(&at, &0.into(), &5.into()),
        otherwise: Operand::float(F32, otherwise),
    };
    for otherwise in [0.0, 4.5] {
        let body = vec![let_(0, guarded(otherwise)), store(1, dim(&item), 0)];
        let input = ramp(5);
        let expected: Vec<f32> = (0..9).map(|i| if (2..7).contains(&i) { input[i - 2] } else { otherwise as f32 }).collect();
        check(&kernel(&item, &[], in_and_out(F32), body), &[to_bytes(&input)], &[], 9, &expected);
    }
}

#[test]
fn rows_that_do_not_exist_read_as_zero() {
    let (item, row, lane) = (index("item", 5), index("row", 3), index("lane", 8));
    let above = dim(&item) + dim(&row) - 1.into();
    let set = Stmt::SetRow {
        row: RowId(0),
        at: dim(&row),
        offset: above.clone() * 8.into(),
        valid: Cond::within(&above, &0.into(), &5.into()),
    };
    let sum = Place::Local(LocalId(0), dim(&lane));
    let clear = vector(&lane, 8, vec![Stmt::Store { place: sum.clone(), value: Operand::float(F32, 0.0) }]);
    let add = vec![
        let_(0, Scalar::Load(Place::Row(RowId(0), dim(&row), dim(&lane)))),
        let_(1, Scalar::Load(sum.clone())),
        binary(2, BinaryOp::Add, 0, 1),
        Stmt::Store { place: sum.clone(), value: value(2) },
    ];
    let finish = vector(&lane, 8, vec![let_(3, Scalar::Load(sum)), store(1, times(&item, 8) + dim(&lane), 3)]);
    let rows = for_(&row, 3, LoopKind::Unrolled, vec![set, vector(&lane, 8, add)]);
    let mut kernel = kernel(&item, &[], in_and_out(F32), vec![clear, rows, finish]);
    kernel.locals = vec![LocalDecl { name: "sum".into(), dtype: F32, len: 8, storage: Storage::Registers }];
    kernel.rows = vec![RowDecl { name: "x".into(), buffer: BufferId(0), len: 3, extent: 8 }];
    let input = ramp(40);
    let at = |row: usize, lane: usize| row.checked_sub(1).filter(|row| *row < 5).map_or(0.0, |row| input[row * 8 + lane]);
    let expected: Vec<f32> = (0..40).map(|i| (0..3).map(|row| at(i / 8 + row, i % 8)).sum()).collect();
    check(&kernel, &[to_bytes(&input)], &[], 5, &expected);
}

#[test]
fn reductions_run_through_locals() {
    let size = Symbol::new("n", 0, 1000);
    let (item, step, lane) = (index("item", 2), Symbol::index("step", &dim(&size)), index("lane", 8));
    let sum = |at: Dim| Place::Local(LocalId(0), at);
    let at = (dim(&item) * dim(&size) + dim(&step)) * 8.into() + dim(&lane);
    let clear = vector(&lane, 8, vec![Stmt::Store { place: sum(dim(&lane)), value: Operand::float(F32, 0.0) }]);
    let add = vec![
        load(0, 0, at),
        let_(1, Scalar::Load(sum(dim(&lane)))),
        binary(2, BinaryOp::Add, 0, 1),
        Stmt::Store { place: sum(dim(&lane)), value: value(2) },
    ];
    let accumulate = for_(&step, &size, LoopKind::Serial, vec![vector(&lane, 8, add)]);
    let mut body = vec![clear, accumulate];
    for width in [4i64, 2, 1] {
        let half = index("half", width);
        let fold = vec![
            let_(3, Scalar::Load(sum(dim(&half)))),
            let_(4, Scalar::Load(sum(dim(&half) + width.into()))),
            binary(5, BinaryOp::Add, 3, 4),
            Stmt::Store { place: sum(dim(&half)), value: value(5) },
        ];
        body.push(vector(&half, width, fold));
    }
    body.extend([let_(6, Scalar::Load(sum(0.into()))), store(1, dim(&item), 6)]);
    let mut kernel = kernel(&item, std::slice::from_ref(&size), in_and_out(F32), body);
    kernel.locals = vec![LocalDecl { name: "sum".into(), dtype: F32, len: 8, storage: Storage::Registers }];
    for n in [0usize, 1, 3, 4, 5, 11] {
        let input = ramp(n * 16);
        let expected: Vec<f32> = (0..2).map(|item| input[item * n * 8..(item + 1) * n * 8].iter().sum()).collect();
        check(&kernel, &[to_bytes(&input)], &[n as i64], 2, &expected);
    }
}

#[test]
fn masked_stores_to_locals_keep_other_lanes() {
    let size = Symbol::new("n", 0, 100);
    let (item, lane) = (index("item", 1), index("lane", 8));
    let place = Place::Local(LocalId(0), dim(&lane));
    let fill = vector(&lane, 8, vec![Stmt::Store { place: place.clone(), value: Operand::float(F32, 3.0) }]);
    let change =
        masked(&lane, 8, dim(&size), vec![load(0, 0, dim(&lane)), Stmt::Store { place: place.clone(), value: value(0) }]);
    let finish = vector(&lane, 8, vec![let_(1, Scalar::Load(place)), store(1, dim(&lane), 1)]);
    let mut kernel = kernel(&item, std::slice::from_ref(&size), in_and_out(F32), vec![fill, change, finish]);
    kernel.locals = vec![LocalDecl { name: "l".into(), dtype: F32, len: 8, storage: Storage::Registers }];
    for n in [0usize, 1, 5, 8] {
        let expected: Vec<f32> = (0..8).map(|i| if i < n { ramp(8)[i] } else { 3.0 }).collect();
        check(&kernel, &[to_bytes(&ramp(n))], &[n as i64], 1, &expected);
    }
}

#[test]
fn branches_on_lanes_store_in_some() {
    let (item, lane) = (index("item", 4), index("lane", 8));
    let at = times(&item, 8) + dim(&lane);
    let cond = Cond(vec![at.clone() - 5.into(), Dim::constant(20) - at.clone()]);
    let then = vec![load(1, 0, at.clone() - 5.into()), store(1, at.clone(), 1)];
    let otherwise = vec![Stmt::Store { place: Place::Buffer(BufferId(1), at), value: Operand::float(F32, -2.0) }];
    let body = vec![vector(&lane, 8, vec![Stmt::If { cond, then, otherwise }])];
    let input = ramp(16);
    let expected: Vec<f32> = (0..32).map(|i| if (5..=20).contains(&i) { input[i - 5] } else { -2.0 }).collect();
    check(&kernel(&item, &[], in_and_out(F32), body), &[to_bytes(&input)], &[], 4, &expected);
}

#[test]
fn branches_on_scalars_run_one_side() {
    let (item, step) = (index("item", 6), index("step", 3));
    let cond = Cond::within(&dim(&item), &2.into(), &4.into());
    let at = times(&item, 3) + dim(&step);
    let then = vec![load(0, 0, dim(&item) - 2.into()), for_(&step, 3, LoopKind::Serial, vec![store(1, at.clone(), 0)])];
    let fill = Stmt::Store { place: Place::Buffer(BufferId(1), at), value: Operand::float(F32, 8.0) };
    let otherwise = vec![for_(&step, 3, LoopKind::Unrolled, vec![fill])];
    let body = vec![Stmt::If { cond, then, otherwise }];
    let input = ramp(2);
    let expected: Vec<f32> = (0..18).map(|i| if (2..4).contains(&(i / 3)) { input[i / 3 - 2] } else { 8.0 }).collect();
    check(&kernel(&item, &[], in_and_out(F32), body), &[to_bytes(&input)], &[], 6, &expected);
}

#[test]
fn uniform_values_mix_with_lanes() {
    let (item, lane) = (index("item", 2), index("lane", 8));
    let body = vec![
        load(0, 0, dim(&item)),
        let_(1, Scalar::Index(times(&lane, 2) + dim(&item), F32)),
        binary(2, BinaryOp::Mul, 0, 1),
        let_(3, Scalar::SelectIf(Cond(vec![dim(&lane) - 4.into()]), value(2), value(0))),
        store(1, times(&item, 8) + dim(&lane), 3),
    ];
    let input = ramp(2);
    let product = |item: usize, lane: usize| if lane >= 4 { input[item] * (lane * 2 + item) as f32 } else { input[item] };
    let expected: Vec<f32> = (0..16).map(|i| product(i / 8, i % 8)).collect();
    check(&kernel(&item, &[], in_and_out(F32), vec![vector(&lane, 8, body)]), &[to_bytes(&input)], &[], 2, &expected);
}

#[test]
fn invalid_kernels_are_refused_with_a_reason() {
    let (item, lane, stray) = (index("item", 2), index("lane", 8), index("stray", 8));
    let nested = vec![vector(&lane, 8, vec![vector(&stray, 8, vec![])])];
    let narrow = vec![let_(0, Scalar::Load(Place::Local(LocalId(0), 0.into())))];
    let bodies: Vec<(&str, Vec<Stmt>)> = vec![
        ("not in scope", vec![load(0, 0, dim(&stray))]),
        ("not defined", vec![store(1, 0.into(), 7)]),
        ("no buffer", vec![load(0, 9, 0.into())]),
        ("no local", narrow),
        ("cannot be stored", vec![load(0, 0, 0.into()), store(0, 0.into(), 0)]),
        ("defined twice", vec![load(0, 0, 0.into()), load(0, 0, 0.into())]),
        ("lanes", vec![vector(&lane, 3, vec![])]),
        ("inside a vector loop", nested),
        ("one element", vec![vector(&lane, 8, vec![load(0, 0, dim(&lane)), store(1, 0.into(), 0)])]),
        ("is needed", vec![load(0, 0, 0.into()), let_(1, Scalar::Binary(BinaryOp::Add, value(0), Operand::Int(DType::I32, 1)))]),
        ("outside", vec![]),
    ];
    for (reason, body) in bodies {
        let mut kernel = kernel(&item, &[], in_and_out(F32), body);
        if reason == "outside" {
            kernel.locals = vec![LocalDecl { name: "l".into(), dtype: F32, len: 4, storage: Storage::Registers }];
            kernel.body = vec![let_(0, Scalar::Load(Place::Local(LocalId(0), 4.into())))];
        }
        let variant = &runnable()[0];
        let error = lostwax_target_cpu::target().emit(variant, &[kernel], &Default::default()).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}
