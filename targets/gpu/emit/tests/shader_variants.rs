//! All variants of a shader compute the same: a GPU takes the first one whose features it has.

mod common;
#[path = "common/opened.rs"]
mod opened;

use common::{code, device, from_bytes, is_close, reference, run_code, to_bytes};
use lostwax_device_gpu::format::{Feature, Shader, read, write};
use lostwax_device_gpu::wgpu::Features;
use lostwax_ir::kernel::Kernel;
use lostwax_ir::number::Number;
use lostwax_ir::text::parse_kernel;
use lostwax_ir::types::DType;
use lostwax_target_api::Device;
use opened::Opened;
use std::fmt::Debug;

/// Rows with one element for each thread, reduced over elements `STRIDE` apart; two rows in each workgroup.
const REDUCE: &str = r#"kernel "reduce" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": TYPE
  buffer "y": TYPE writable
  local "all": TYPE[BOTH] shared
  for %t: 0..=LAST to (THREADS) threads {
    v0 = load b0[BOTH*%i + %t]
    v1 = load b0[BOTH*%i + %t + THREADS]
    store l0[%t], v0
    store l0[%t + THREADS], v1
  }
  reduce OP l0 stride STRIDE
  for %t: 0..=LAST to (THREADS) threads {
    if [STRIDE - 1 - %t] {
      v2 = load l0[%t]
      v3 = load l0[%t + THREADS]
      store b1[2*STRIDE*%i + %t], v2
      store b1[2*STRIDE*%i + %t + STRIDE], v3
    }
  }
}
"#;

/// Halves that are read, rounded and written.
const HALVES: &str = r#"kernel "halves" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": f16
  buffer "y": f16 writable
  v0 = load b0[%i]
  v1 = mul v0, f16(0.333251953125)
  store b1[%i], v1
}
"#;

/// Products of four bytes each.
const DOTS: &str = r#"kernel "dots" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": u32
  buffer "y": i32 writable
  v0 = load b0[%i]
  v1 = load b0[%i + 1]
  v2 = dot4 v0, v1, i32(-7)
  store b1[%i], v2
}
"#;

fn numbers(dtype: DType, count: usize) -> Vec<Number> {
    let value = |at: usize| ((at * 2_654_435_761) >> 7) as u32;
    let number = |at: usize| match dtype {
        DType::F16 => Number::float(dtype, f64::from(value(at) % 4093) / 64.0 - 31.0),
        dtype if dtype.is_float() => Number::float(dtype, f64::from(value(at) % 1000) / 1024.0 + 0.5),
        dtype => Number::int(dtype, i128::from(value(at))),
    };
    (0..count).map(number).collect()
}

/// Compares each variant with the reference, and the one for a GPU without features. Returns the features of the variants. `counts`
/// are the elements of input and output.
fn check(kernel: &Kernel, dtypes: [DType; 2], counts: [usize; 2], grid: u64) -> Vec<Vec<Feature>> {
    let buffers = [to_bytes(&numbers(dtypes[0], counts[0])), vec![0; counts[1] * dtypes[1].size()]];
    let expected = from_bytes(dtypes[1], &reference(kernel, &buffers, &[grid as i64])[1]);
    assert!(expected.iter().any(|number| *number != expected[0]), "all results are equal");
    let compare = |device: &dyn Device, code: &[u8], what: &dyn Debug| {
        let found = from_bytes(dtypes[1], &run_code(device, code, &buffers, &[grid as i64], grid)[1]);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(is_close(*found, *expected, 1e-6), "{} {what:?}: {found:?}, not {expected:?}", kernel.name);
        }
    };
    let code = code(std::slice::from_ref(kernel));
    compare(&*Opened::new(Features::empty(), |_| {}).for_kernels(), &code, &"without features");
    let shader = read(&code).unwrap().remove(0);
    for variant in &shader.variants {
        let only = write(&[Shader { variants: vec![variant.clone()], ..shader.clone() }]);
        compare(&**device(), &only, &variant.features);
    }
    shader.variants.into_iter().map(|variant| variant.features).collect()
}

fn reduce(dtype: &str, op: &str, threads: usize, stride: usize) -> Kernel {
    let sizes = [("BOTH", 2 * threads), ("LAST", threads - 1), ("THREADS", threads), ("STRIDE", stride)];
    let text = REDUCE.replace("TYPE", dtype).replace("OP", op);
    let text = sizes.iter().fold(text, |text, (name, size)| text.replace(name, &size.to_string()));
    parse_kernel(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn threads_reduce_with_and_without_subgroups() {
    let operations = [("f32", "sum", 128), ("f32", "max", 64), ("i32", "sum", 256), ("u32", "min", 128), ("f32", "prod", 256)];
    for (dtype, op, threads) in operations {
        for stride in [1usize, 16] {
            let kernel = reduce(dtype, op, threads, stride);
            let dtype = DType::from_name(dtype).unwrap();
            let features = check(&kernel, [dtype; 2], [3 * 2 * threads, 3 * 2 * stride], 3);
            assert_eq!(features, if stride == 1 { vec![vec![Feature::Subgroups], vec![]] } else { vec![vec![]] });
        }
    }
}

#[test]
fn halves_are_floats_or_parts_of_words() {
    let features = check(&parse_kernel(HALVES).unwrap(), [DType::F16; 2], [301; 2], 301);
    assert_eq!(features, [vec![Feature::Float16], vec![]]);
}

#[test]
fn bytes_are_multiplied_together_or_apart() {
    let features = check(&parse_kernel(DOTS).unwrap(), [DType::U32, DType::I32], [101, 100], 100);
    assert_eq!(features, [vec![Feature::PackedDots], vec![]]);
}
