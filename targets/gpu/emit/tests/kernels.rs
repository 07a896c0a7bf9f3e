//! Loops, lanes, locals, rows and neighbours in one word, beside the reference interpreter.

mod common;

use common::{code, reference, run};
use lostwax_device_gpu::format::{Language, PIECE_BYTES, read};
use lostwax_ir::kernel::Kernel;
use lostwax_ir::text::parse_kernel;

fn parse(text: &str) -> Kernel {
    parse_kernel(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn floats(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (i as f32 * 0.5 - 7.0).to_le_bytes()).collect()
}

fn check(text: &str, buffers: &[Vec<u8>], symbols: &[i64], grid: u64) {
    let kernel = parse(text);
    let (expected, found) = (reference(&kernel, buffers, symbols), run(&kernel, buffers, symbols, grid));
    assert_eq!(found, expected, "{text}");
    assert_ne!(expected, buffers, "the kernel does nothing");
}

/// Rows of any length; the last lanes of the last vector do not run.
#[test]
fn loops_end_where_they_should() {
    let text = r#"kernel "rows" {
  symbols n: 1..
  item %i: 0..
  grid (3)
  buffer "x": f32
  buffer "y": f32 writable
  for %v: 0.. to (floordiv(n + 3, 4)) serial {
    for %k: 0..=3 to (4) vector active (n - 4*%v) {
      v0 = load b0[n*%i + 4*%v + %k]
      v1 = mul v0, f32(0.5)
      store b1[n*%i + 4*%v + %k], v1
    }
  }
}
"#;
    for n in [1usize, 3, 4, 5, 70] {
        check(text, &[floats(3 * n), vec![0; 12 * n]], &[n as i64], 3);
    }
}

/// Each work item writes one byte of a word that four work items share.
#[test]
fn neighbours_in_a_word_do_not_disturb_each_other() {
    for (name, value) in [("u8", "u8(7)"), ("i8", "i8(-3)"), ("i16", "i16(-300)"), ("f16", "f16(1.5)"), ("bool", "bool(1)")] {
        let text = format!(
            r#"kernel "bytes" {{
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "y": {name} writable
  if [%i - 1] {{
    store b0[%i], {value}
  }}
}}
"#
        );
        let size = lostwax_ir::types::DType::from_name(name).unwrap().size();
        for n in [2usize, 5, 1001] {
            check(&text, &[vec![0; n * size]], &[n as i64], n as u64);
        }
    }
}

/// More workgroups than one dimension of a dispatch takes.
#[test]
fn many_work_items_fold_into_two_dimensions() {
    let text = r#"kernel "many" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "y": f32 writable
  if [%i - n + 3] {
    store b0[n - 1 - %i], f32(2.0)
  }
}
"#;
    let grid = 64 * 65_535 * 2 + 77;
    let found = run(&parse(text), &[vec![0; 16]], &[grid as i64], grid);
    assert_eq!(found[0].chunks(4).filter(|bytes| *bytes == 2f32.to_le_bytes()).count(), 3);
}

#[test]
fn the_same_kernels_give_the_same_bytes() {
    let text = "kernel \"k\" {\n  item %i: 0..\n  grid (1)\n  buffer \"y\": f32 writable\n  store b0[%i], f32(1.0)\n}\n";
    assert_eq!(code(&[parse(text)]), code(&[parse(text)]));
}

/// Lanes that read neighbours through memory that they share; some of it is read element by element.
const QUADS: &str = r#"kernel "quads" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": f32
  buffer "w": f32
  buffer "y": f32 writable
  local "all": f32[256] shared
  for %t: 0..=31 to (32) threads {
    for %k: 0..=7 to (8) vector {
      v0 = load_if [30 - %t], b0[256*%i + 8*%t + %k], f32(3.0)
      v1 = load b1[8*%t + %k + 1]
      v2 = mul v0, v1
      store l0[8*%t + %k], v2
    }
  }
  for %t: 0..=31 to (32) threads {
    for %k: 0..=3 to (4) vector {
      v3 = load l0[248 - 8*%t + %k]
      v4 = load l0[%t + %k]
      v5 = add v3, v4
      store b2[128*%i + 4*%t + %k], v5
    }
  }
}
"#;

#[test]
fn neighbours_are_accessed_four_at_a_time() {
    check(QUADS, &[floats(3 * 256), floats(257), vec![0; 3 * 128 * 4]], &[3], 3);
    let shader = read(&code(&[parse(QUADS)])).unwrap().remove(0);
    assert_eq!(shader.arguments.iter().map(|argument| argument.alignment).collect::<Vec<_>>(), [16, 4, 16]);
    let text = shader.plainest().unwrap().text(Language::Wgsl).unwrap();
    let declared = ["read_write> global: array<vec4<f32>>", "read_write> global_1: array<f32>", "array<vec4<f32>, 64>"];
    declared.iter().for_each(|declared| assert!(text.contains(declared), "{declared}: {text}"));
}

/// An index that differs between lanes, known only within a branch.
const LOOKED_UP: &str = r#"kernel "looked_up" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "at": i32
  buffer "x": f32
  buffer "y": f32 writable
  for %k: 0..=3 to (4) vector {
    if [n - 2] {
      v0 = load b0[4*%i + %k]
      index %s: 0..=3 = v0
      v1 = load b1[%k + 4*%s]
      store b2[4*%i + %k], v1
    }
  }
}
"#;

#[test]
fn lanes_with_indices_of_their_own_are_no_neighbours() {
    let at: Vec<u8> = [3i32, 1, 0, 2, 2, 2, 1, 3].iter().flat_map(|at| at.to_le_bytes()).collect();
    check(LOOKED_UP, &[at, floats(16), vec![0; 32]], &[2], 2);
}

/// Rows of 64 elements, each sorted into reverse by threads that hand their elements over in shared memory, twice.
#[test]
fn threads_share_memory() {
    let text = r#"kernel "reverse" {
  symbols n: 1..
  item %i: 0..
  grid (n)
  buffer "x": f32
  buffer "y": f32 writable
  local "own": f32[1]
  local "all": f32[64] shared
  for %t: 0..=63 to (64) threads {
    v0 = load b0[64*%i + %t]
    store l0[0], v0
  }
  for %k: 0..=2 to (3) serial {
    for %t: 0..=63 to (64) threads {
      v1 = load l0[0]
      store l1[%t], v1
    }
    for %t: 0..=63 to (64) threads {
      v2 = load l1[63 - %t]
      v3 = add v2, f32(1.0)
      store l0[0], v3
    }
  }
  for %t: 0..=63 to (64) threads {
    v4 = load l0[0]
    store b1[64*%i + %t], v4
  }
}
"#;
    for n in [1usize, 3, 100] {
        check(text, &[floats(64 * n), vec![0; 256 * n]], &[n as i64], n as u64);
    }
}

/// Elements on both sides of where a large argument is cut, of words and of parts of them.
#[test]
fn large_arguments_come_in_pieces() {
    for (name, size) in [("u32", 4), ("u8", 1)] {
        let (cut, extra) = (PIECE_BYTES as usize / size, 1000);
        let text = format!(
            r#"kernel "pick" {{
  item %i: 0..
  grid (64)
  buffer "x": {name} pieces 2
  buffer "y": {name} writable
  v0 = load b0[{} + %i]
  store b1[%i], v0
}}
"#,
            cut - 32
        );
        let mut large = vec![0; (cut + extra) * size];
        let (around, _) = large[(cut - 32) * size..].split_at_mut(64 * size);
        around.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8 + 1);
        check(&text, &[large, vec![0; 64 * size]], &[], 64);
    }
}
