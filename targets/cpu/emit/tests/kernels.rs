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
