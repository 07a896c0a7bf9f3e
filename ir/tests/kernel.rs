//! Kernels in text form, verified and run by the interpreter.

use lostwax_ir::eval::{EvalError, eval_kernel};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::text::parse_kernel;
use lostwax_ir::verify::verify_kernel;

fn kernel(text: &str) -> Kernel {
    parse_kernel(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Runs a kernel on f32 buffers, all of which may be written.
fn run(text: &str, buffers: &mut [Vec<f32>], symbols: &[i64]) -> Result<(), EvalError> {
    let kernel = kernel(text);
    assert_eq!(verify_kernel(&kernel), []);
    let mut bytes: Vec<&mut [u8]> = buffers.iter_mut().map(|buffer| bytemuck::cast_slice_mut(buffer)).collect();
    eval_kernel(&kernel, &mut bytes, symbols)
}

const SCALE: &str = "\
kernel \"scale\" {
  symbols n: 1..=100
  item %i: 0..=12
  grid (floordiv(n + 7, 8))
  buffer \"x\": f32
  buffer \"y\": f32 writable
  for %k: 0..=7 to (8) vector active (n - 8*%i) {
    v0 = load b0[8*%i + %k]
    v1 = mul v0, f32(0.5)
    store b1[8*%i + %k], v1
  }
}";

#[test]
fn inactive_lanes_touch_nothing() {
    let x: Vec<f32> = (0..11).map(|i| i as f32).collect();
    let mut buffers = [x.clone(), vec![0.0; 11]];
    assert_eq!(run(SCALE, &mut buffers, &[11]), Ok(()));
    assert_eq!(buffers[1], x.iter().map(|x| x * 0.5).collect::<Vec<f32>>());
}

#[test]
fn reads_outside_are_faults() {
    let error = run(SCALE, &mut [vec![0.0; 10], vec![0.0; 11]], &[11]);
    assert_eq!(error, Err(EvalError::Fault("buffer `x` has no element 10".to_string())));
}

/// A product of a 2x3 and a 3x4 matrix with registers, rows and lanes.
const PRODUCT: &str = "\
kernel \"product\" {
  item %i: 0..=0
  grid (1)
  buffer \"a\": f32
  buffer \"b\": f32
  buffer \"c\": f32 writable
  local \"sums\": f32[12]
  rows \"lines\": b0[3] x 3
  for %r: 0..=2 to (3) unrolled {
    row r0[%r] = (3*%r) if [1 - %r]
    for %l: 0..=3 to (4) vector {
      store l0[4*%r + %l], f32(0.0)
    }
  }
  for %k: 0..=2 to (3) serial {
    for %l: 0..=3 to (4) vector {
      v0 = load b1[4*%k + %l]
      v1 = load r0[0][%k]
      v2 = load l0[%l]
      v3 = mul_add v1, v0, v2
      store l0[%l], v3
      v4 = load r0[1][%k]
      v5 = load l0[%l + 4]
      v6 = mul_add v4, v0, v5
      store l0[%l + 4], v6
      v7 = load r0[2][%k]
      v8 = load l0[%l + 8]
      v9 = mul_add v7, v0, v8
      store l0[%l + 8], v9
    }
  }
  for %r: 0..=2 to (3) unrolled {
    for %l: 0..=3 to (4) vector {
      v10 = load l0[4*%r + %l]
      if [1 - %r, %l - 1] {
        store b2[4*%r + %l], v10
      } else {
        v11 = add v10, f32(100.0)
        store b2[4*%r + %l], v11
      }
    }
  }
}";

#[test]
fn rows_locals_and_conditions_on_lanes() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (0..12).map(|i| i as f32).collect::<Vec<f32>>());
    let mut buffers = [a.to_vec(), b, vec![0.0; 12]];
    assert_eq!(run(PRODUCT, &mut buffers, &[]), Ok(()));
    let expected = [132.0, 38.0, 44.0, 50.0, 168.0, 83.0, 98.0, 113.0, 100.0, 100.0, 100.0, 100.0];
    assert_eq!(buffers[2], expected);
}

#[test]
fn indices_may_come_from_memory() {
    let text = "\
kernel \"pick\" {
  item %i: 0..=2
  grid (3)
  buffer \"x\": f32
  buffer \"y\": f32 writable
  v0 = load_if [1 - %i], b0[%i], f32(3.0)
  v1 = cast i64 v0
  index %j: 0..=3 = v1
  v2 = load b0[%j]
  v3 = index f32 (%i + 10*%j)
  v4 = add v2, v3
  store b1[%i], v4
}";
    let mut buffers = [vec![2.0, 0.0, 5.0, 7.0], vec![0.0; 3]];
    assert_eq!(run(text, &mut buffers, &[]), Ok(()));
    assert_eq!(buffers[1], [25.0, 3.0, 39.0]);
}

#[test]
fn lanes_take_each_step_together() {
    let text = "\
kernel \"once\" {
  item %i: 0..=0
  grid (1)
  buffer \"y\": f32 writable
  local \"sum\": f32[1]
  store l0[0], f32(1.0)
  for %l: 0..=7 to (8) vector {
    v0 = load l0[0]
    v1 = add v0, f32(1.0)
    store l0[0], v1
  }
  v2 = load l0[0]
  store b0[0], v2
}";
    let mut buffers = [vec![0.0]];
    assert_eq!(run(text, &mut buffers, &[]), Ok(()));
    assert_eq!(buffers[0], [2.0]);
}

#[test]
fn bits_and_shifts() {
    let text = "\
kernel \"exponent\" {
  item %i: 0..=0
  grid (1)
  buffer \"y\": f32 writable
  v0 = load b0[0]
  v1 = bitcast i32 v0
  v2 = shr v1, 23
  v3 = sub v2, i32(127)
  v4 = cast f32 v3
  store b0[0], v4
}";
    let mut buffers = [vec![40.0]];
    assert_eq!(run(text, &mut buffers, &[]), Ok(()));
    assert_eq!(buffers[0], [5.0]);
}

#[test]
fn unwritten_locals_are_faults() {
    let text = "\
kernel \"k\" {
  item %i: 0..=0
  grid (1)
  buffer \"y\": f32 writable
  local \"sum\": f32[1]
  v0 = load l0[0]
  store b0[0], v0
}";
    let error = run(text, &mut [vec![0.0]], &[]);
    assert_eq!(error, Err(EvalError::Fault("element 0 of local `sum` was never written".to_string())));
}

/// The problems of a kernel with the given statements.
fn problems(body: &str) -> Vec<String> {
    let head = "kernel \"k\" { symbols n: 1..  item %i: 0..=9  grid (10)  buffer \"x\": f32  buffer \"y\": f32 writable \
                local \"sum\": f32[4] local \"all\": f32[4] shared rows \"line\": b0[2] x 8";
    verify_kernel(&kernel(&format!("{head}\n{body}\n}}"))).iter().map(ToString::to_string).collect()
}

fn assert_problem(body: &str, expected: &str) {
    let problems = problems(body);
    assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?} lacks `{expected}`");
}

#[test]
fn broken_rules_are_named() {
    assert_eq!(problems("v0 = load b0[%i] store b1[%i], v0"), Vec::<String>::new());
    assert_problem("store b1[%i], v0", "value 0 is not defined here");
    assert_problem("v0 = load b0[0]\nv0 = load b0[0]", "defined twice");
    assert_problem("if [n - 2] {\nv0 = load b0[0]\n}\nstore b1[0], v0", "value 0 is not defined here");
    assert_problem("store b0[%i], f32(1)", "not writable");
    assert_problem("store b1[%i], f64(1)", "mixes f32 and f64");
    assert_problem("store b7[%i], f32(1)", "buffer 7 does not exist");
    assert_problem("v0 = not f32(1)", "`not` does not take f32");
    assert_problem("v0 = exp i32(1)", "`exp` does not take i32");
    assert_problem("v0 = shl i32(1), 32", "a shift of i32 by 32");
    assert_problem("v0 = bitcast i32 f64(1)", "the bits of f64 as i32");
    assert_problem("for %k: 0..=5 to (6) vector {\n}", "power of two");
    assert_problem("for %k: 0..=5 to (n) unrolled {\n}", "must be a constant");
    assert_problem("for %k: 0..=3 to (4) vector {\nfor %j: 0..=3 to (4) serial {\n}\n}", "inside of a vector loop");
    assert_problem("for %i: 0..=3 to (4) serial {\n}", "already defined");
    assert_problem("for %k: 0..=3 to (4) serial {\nstore l0[%k], f32(1)\n}", "not a constant after unrolling");
    assert_problem("store l0[4], f32(1)", "outside of `sum`");
    assert_problem("index %j: 0..=3 = f32(1)", "must be i32 or i64");
    assert_problem("store r0[0][0], f32(1)", "a store to a row");
    assert_problem("row r3[0] = (0) if []", "must exist");
    let nested = "if [%k - 1] {\nindex %j: 0..=3 = i64(1)\n}";
    assert_problem(&format!("for %k: 0..=3 to (4) vector {{\n{nested}\n}}"), "nothing but lets and stores");
}

#[test]
fn broken_rules_of_threads_are_named() {
    let threads = |body: &str| format!("for %t: 0..=3 to (4) threads {{\n{body}\n}}");
    assert_eq!(problems(&threads("v0 = load b0[%i]\nstore b1[%t], v0")), Vec::<String>::new());
    assert_problem(&format!("{}\nstore b1[0], f32(1)", threads("")), "only loops, conditions and reductions");
    assert_problem(&threads("for %u: 0..=3 to (4) threads {\n}"), "inside of another");
    assert_problem(&format!("{}\nfor %u: 0..=7 to (8) threads {{\n}}", threads("")), "one constant extent");
    assert_problem("for %t: 0.. to (n) threads {\n}", "one constant extent");
    assert_problem("for %t: 0..=2047 to (2048) threads {\n}", "one constant extent");
    assert_problem("store l1[0], f32(1)", "outside of the loops of threads");
    let reduced = |reduce: &str| format!("{}\n{reduce}", threads(""));
    assert_eq!(problems(&reduced("reduce max l1 stride 2")), Vec::<String>::new());
    assert_problem("reduce sum l1 stride 1", "outside of their loops");
    assert_problem(&threads("reduce sum l1 stride 1"), "outside of their loops");
    assert_problem(
        &reduced("for %k: 0..=3 to (4) vector {\nreduce sum l1 stride 1\n}"),
        "outside of their loops and of vector loops",
    );
    assert_problem(&reduced("reduce sum l0 stride 1"), "numbers in shared memory");
    assert_problem(&reduced("reduce sum l7 stride 1"), "numbers in shared memory");
    assert_problem(&reduced("reduce sum l1 stride 3"), "a power of two");
    assert_problem(&reduced("reduce sum l1 stride 4"), "less than the 4 threads");
}

#[test]
fn all_problems_are_listed() {
    let problems = problems("store b0[%i], v0\nif [] {\nstore b1[%i], f64(1)\n}");
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[2].starts_with("kernel `k`, statement 1.0:"), "{problems:?}");
}

/// Sums of 8 elements each by 4 threads, which add up in shared memory what each found.
const THREADS: &str = "\
kernel \"sums\" {
  item %i: 0..=1
  grid (2)
  buffer \"x\": f32
  buffer \"y\": f32 writable
  local \"own\": f32[1]
  local \"all\": f32[4] shared
  for %t: 0..=3 to (4) threads {
    store l0[0], f32(0.0)
  }
  for %k: 0..=1 to (2) serial {
    for %t: 0..=3 to (4) threads {
      v0 = load b0[8*%i + 4*%k + %t]
      v1 = load l0[0]
      v2 = add v0, v1
      store l0[0], v2
      store l1[%t], v2
    }
  }
  for %t: 0..=3 to (4) threads {
    if [-%t] {
      v3 = load l1[0]
      v4 = load l1[1]
      v5 = load l1[2]
      v6 = load l1[3]
      v7 = add v3, v4
      v8 = add v5, v6
      v9 = add v7, v8
      store b1[%i], v9
    }
  }
}";

#[test]
fn threads_keep_their_locals_and_share_memory() {
    let mut buffers = [(0..16).map(|i| i as f32).collect::<Vec<f32>>(), vec![0.0; 2]];
    assert_eq!(run(THREADS, &mut buffers, &[]), Ok(()));
    assert_eq!(buffers[1], [28.0, 92.0]);
    assert_eq!(kernel(THREADS).threads(), Some(4));
    assert_eq!(kernel(SCALE).threads(), None);
}

/// Two rows of four elements, of which those two apart are added up.
const REDUCED: &str = "\
kernel \"reduced\" {
  item %i: 0..=0
  grid (1)
  buffer \"x\": f32
  buffer \"y\": f32 writable
  local \"all\": f32[8] shared
  for %t: 0..=3 to (4) threads {
    v0 = load b0[%t]
    v1 = load b0[%t + 4]
    store l0[%t], v0
    store l0[%t + 4], v1
  }
  reduce sum l0 stride 2
  for %t: 0..=3 to (4) threads {
    if [1 - %t] {
      v2 = load l0[%t]
      v3 = load l0[%t + 4]
      store b1[%t], v2
      store b1[%t + 2], v3
    }
  }
}";

#[test]
fn threads_reduce_what_they_share() {
    let mut buffers = [(0..8).map(|i| i as f32).collect::<Vec<f32>>(), vec![0.0; 4]];
    assert_eq!(run(REDUCED, &mut buffers, &[]), Ok(()));
    assert_eq!(buffers[1], [2.0, 4.0, 10.0, 12.0]);
    let faults = [
        (REDUCED.replace("if [1 - %t]", "if []"), "element 2 of local `all` was never written"),
        (REDUCED.replace("store l0[%t + 4], v1", ""), "an element of `all` was never written"),
    ];
    for (text, expected) in faults {
        let expected = Err(EvalError::Fault(expected.to_string()));
        assert_eq!(run(&text, &mut buffers.clone(), &[]), expected, "{text}");
    }
}

#[test]
fn threads_that_touch_what_another_writes_are_faults() {
    let race = |text: &str, expected: &str| {
        let result = run(text, &mut [vec![0.0; 16], vec![0.0; 2]], &[]);
        assert_eq!(result, Err(EvalError::Fault(expected.to_string())), "{text}");
    };
    race(&THREADS.replace("store l1[%t]", "store l1[0]"), "threads 0 and 1 touch element 0 of `all`, and one writes");
    race(&THREADS.replace("if [-%t]", "if [1 - %t]"), "threads 0 and 1 touch element 0 of `y`, and one writes");
    let later = "v10 = load l1[0]\n      store l1[3 - %t], v2";
    let first = THREADS.replace("store l0[0], f32(0.0)", "store l0[0], f32(0.0)\n    store l1[%t], f32(0.0)");
    race(&first.replace("store l1[%t], v2", later), "threads 2 and 3 touch element 0 of `all`, and one writes");
    let early = "store l1[%t], v2\n      v10 = load l1[0]";
    race(&THREADS.replace("store l1[%t], v2", early), "threads 0 and 1 touch element 0 of `all`, and one writes");
}
